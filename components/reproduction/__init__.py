"""Comparison of a repeated run with the original."""
