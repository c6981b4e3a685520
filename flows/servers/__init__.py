"""Servers that braid starts."""
