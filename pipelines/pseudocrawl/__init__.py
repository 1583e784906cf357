"""Pages of chosen sites, looked up in an index of a crawl and fetched by range."""
