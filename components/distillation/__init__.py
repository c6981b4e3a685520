"""Students that learn from a delivered model."""
