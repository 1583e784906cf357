"""Exact copies, near-duplicates and repeated lines: the dedup stage and its sub-steps."""
