"""A package, for what all tests here share, and is gone before others begin."""
