"""Sweeps on many machines: a broker that owns money, pace and ledger, and workers that claim before they post."""
