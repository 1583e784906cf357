"""Token shards, and the rows that training reads."""
