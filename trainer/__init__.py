"""From shards to a model. Torch is imported here and nowhere else."""
