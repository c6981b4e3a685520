"""Readers of manifests, one file per kind of source."""
