"""Stages: read shards, call filters, write shards."""
