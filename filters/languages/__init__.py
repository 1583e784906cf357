"""Language files: one TOML a language over default.toml; read by filters.language."""
