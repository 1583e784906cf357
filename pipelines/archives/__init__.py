"""Archives of web pages: packing, records, HTTP heads."""
