"""Search across modalities, and its evaluation."""
