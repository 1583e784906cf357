"""The `roots` command."""
