"""Folder, lock and lifecycle of a run."""
