"""Media files: location, policy, content."""
