"""The words all others speak: documents, shards, stages, executors, settings, errors."""
