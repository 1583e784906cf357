"""Source trees as input: folders, Git checkouts, zip and tar files."""
