"""One protocol for what a step gives, and its tables before a renderer has made text of them."""
