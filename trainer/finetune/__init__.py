"""Fine-tuning on pairs of input and target."""
