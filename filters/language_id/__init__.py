"""Which language and script a text is in, and how sure that is."""
