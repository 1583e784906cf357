"""The model that finds main text: its file, its training, its card."""
