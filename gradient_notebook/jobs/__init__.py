"""Work that outlives a cell."""
