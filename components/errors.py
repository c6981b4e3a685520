"""Errors that are the user's to mend: shown as one message, without a traceback."""

from __future__ import annotations


class BraidError(Exception):
    """Something outside braid is wrong; the message names the place, what was found and the remedy."""


class DataError(BraidError):
    """The manifest or a file it names cannot be used as it is."""


class ModelError(BraidError):
    """A model, its weights or its options cannot be used as they are."""


class ServiceError(BraidError):
    """A server that the run needs, or room on the disk, is not there for now; trying again may help."""
