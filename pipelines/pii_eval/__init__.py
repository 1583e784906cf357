"""How well personal data is found: `roots pii eval`."""
