"""Contract of every result, so that one function logs it and one renderer per place shows it."""

from typing import Protocol

from components.results.table import Table


class Result(Protocol):
    """Outcome of one step."""

    @property
    def headline(self) -> str:
        """The result in one line, without a full stop."""
        ...

    @property
    def findings(self) -> tuple[str, ...]:
        """Sentences that a person should read beside the headline."""
        ...

    def metrics(self) -> dict[str, float]:
        """Numbers by the names that they have in the tracker; NaN for what is not defined."""
        ...

    def tables(self) -> dict[str, Table]:
        """Tables that have rows, by the names that they have in the tracker."""
        ...
