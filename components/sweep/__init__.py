"""A sweep: what is tried, how trials are proposed and pruned, and how what came of them is ranked."""
