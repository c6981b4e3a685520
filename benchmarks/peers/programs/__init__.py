"""One program per peer, run by the Python of the peer's own environment, which has no package of braid."""
