"""Source code: programming languages, licences, and what a page or file says of its use."""
