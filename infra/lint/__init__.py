"""Checks of words and pages for ``make lint``."""
