"""Evaluation of a model by tasks: choices, continuations, generated text."""
