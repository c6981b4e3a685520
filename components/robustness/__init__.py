"""Curves under missing and damaged inputs."""
