"""Drift: comparison of new rows with those that a model was evaluated on."""
