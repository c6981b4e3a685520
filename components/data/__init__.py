"""From a manifest to a checked table of samples."""
