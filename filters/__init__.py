"""Judging and changing text: pure functions and tables; no file is written here."""
