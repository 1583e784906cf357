"""The decoder: attention, products, loss, shapes, checkpoints."""
