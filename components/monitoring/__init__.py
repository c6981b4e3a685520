"""Drift: whether new rows are like those that a model was judged on."""
