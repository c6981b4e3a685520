"""How good a model is, how sure we can be of it, and the report that says so. Works on plain arrays."""
