"""Releases: write, validate, push, take down, point to, rebuild."""
