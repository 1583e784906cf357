"""Fingerprints of runs of characters, and the runs that stand in more than one place."""
