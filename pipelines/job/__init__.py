"""What is asked for: stages, their settings, languages, and the work folder."""
