"""Worker processes of the flows."""
