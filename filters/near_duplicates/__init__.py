"""Shingles, signatures and exact similarity: the arithmetic of near-duplicates and repeated lines."""
