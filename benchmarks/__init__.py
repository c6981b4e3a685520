"""Figures for docs/benchmarks.md, each a comparison of two things measured side by side in one run."""
