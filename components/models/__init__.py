"""Neural networks: encoders, fusions, heads."""
