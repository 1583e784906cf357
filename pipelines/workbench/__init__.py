"""The threshold workbench: `roots report` writes it as one HTML file."""
