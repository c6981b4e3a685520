"""Metric kernels on arrays."""
