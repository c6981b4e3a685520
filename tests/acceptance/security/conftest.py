"""The tiny pipeline of the tests of components."""

from tests.components.conftest import tiny, tiny_data

__all__ = ["tiny", "tiny_data"]
