"""Figures for docs/results/benchmarks.md, each from two things measured side by side in one run."""
