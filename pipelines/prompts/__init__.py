"""Prompted examples: labelled records rendered by templates, their mixture, and what of it is in evaluation files."""
