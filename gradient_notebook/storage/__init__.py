"""What is on disk: original files, and the ledger of every request."""
