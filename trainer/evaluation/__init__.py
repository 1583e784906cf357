"""What a trained model is worth: bits per byte, baselines, memorisation, reports."""
