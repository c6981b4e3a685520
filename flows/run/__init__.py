"""One run: its folder, lock and lifecycle."""
