"""The faces: magic, card, panel."""
