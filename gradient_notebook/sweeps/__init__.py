"""Sweeps: many requests as one table, from axes to results."""
