"""The delivered model: candidates, selection, bundle, predictor."""
