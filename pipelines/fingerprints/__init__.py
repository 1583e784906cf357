"""Where a text stands in a corpus: an index of fingerprints, and the search in it."""
