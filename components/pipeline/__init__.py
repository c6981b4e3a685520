"""The steps of a run, one file per step."""
