"""The forecast of what a whole crawl will take, from pieces of it: `roots plan`."""
