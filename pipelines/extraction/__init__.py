"""Main text of a page: engines, and the guarded process they run in."""
