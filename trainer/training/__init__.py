"""The training loop: recipe, optimiser, parallel processes, journal."""
