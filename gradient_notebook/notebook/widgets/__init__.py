"""What lives in a browser: the live view, the panel, and their parts."""
