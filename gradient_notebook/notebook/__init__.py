"""The front ends: magic, card, panel."""
