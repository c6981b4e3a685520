"""Private names of Prefect: braid uses them in this folder alone.

Written for prefect 3.8 (``prefect>=3.8,<3.9`` in pyproject.toml). Each entry says what lets it go.
There are two files, so that whoever only starts a server does not import Prefect.
"""
