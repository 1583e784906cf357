"""Models and bounds that users make: language id, quality, perplexity, thresholds."""
