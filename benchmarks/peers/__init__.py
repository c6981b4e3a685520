"""braid beside other tools on the same rows: each in an environment of its own."""
