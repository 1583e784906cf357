"""Signals: numbers measured of a document, and the bounds that judge them."""
