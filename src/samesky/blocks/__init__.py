"""Blocks: one controller object's state, broadcast over a broker and written, translated, to others."""
