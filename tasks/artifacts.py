"""Results in MLflow and in the dashboard, and ways from the one to the other."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, Self, TypeVar

import pandas as pd
from matplotlib.figure import Figure
from prefect import get_run_logger
from prefect.artifacts import create_link_artifact, create_markdown_artifact, create_table_artifact

from components.config import TrackingConfig
from components.redaction import redacted
from components.references import Missing
from components.results import markdown
from components.results.protocol import Result
from components.results.table import Table
from components.storage.atomic import write_bytes
from components.storage.digest import digest
from tasks.context import Context
from tasks.tracking import runs


class Logged(Protocol):
    """A run of this project that has a run in MLflow."""

    @property
    def tracking(self) -> TrackingConfig: ...
    @property
    def mlflow_run(self) -> str: ...


class StoredResult(Result, Protocol):
    """Outcome of one step that travels as JSON."""

    def to_json(self) -> str: ...
    @classmethod
    def from_json(cls, text: str) -> Self: ...


Kind = TypeVar("Kind", bound=StoredResult)


@dataclass(frozen=True)
class Written(Generic[Kind]):
    """Reference to a result.

    Attributes:
        kind: Class of the result.
        file: JSON of it.
    """

    kind: type[Kind]
    file: str

    def read(self) -> Kind:
        """Read the result."""
        return self.kind.from_json(Path(self.file).read_text("utf-8", "surrogatepass"))


def write_result(
    context: Context, result: Kind, name: str, figures: Callable[[], Mapping[str, Figure]] = dict
) -> Written[Kind]:
    """Write a result into the folder of its run, and log it.

    Args:
        context: The run.
        result: Outcome of a step.
        name: Name of the file.
        figures: Draws them, by name.
    """
    file = context.folder / f"{name}.json"
    write_bytes(file, result.to_json().encode("utf-8", "surrogatepass"))
    log_result(context, result, file, figures)
    return Written(type(result), str(file))


def log_result(
    run: Logged,
    result: Result,
    file: Path | None = None,
    figures: Callable[[], Mapping[str, Figure]] = dict,
    prefix: str = "",
) -> None:
    """Log a result: metrics, figures, tables and file to MLflow, the tables to the dashboard too.

    Figures and the dashboard's tables only show the result, so they may fail without it.

    Args:
        run: The run that it belongs to.
        result: Outcome of a step.
        file: JSON of the result.
        figures: Draws them, by name.
        prefix: Begins every name, where a run has several results of a kind.
    """
    at, id = run.tracking, run.mlflow_run
    runs.log_metrics(at, id, {f"{prefix}{name}": value for name, value in result.metrics().items()})
    for name, table in result.tables().items():
        frame = pd.DataFrame(table.records(), columns=table.names)
        runs.log_table(at, id, frame, f"{prefix}{name}")
        with optional(run, f"{prefix}{name} in the dashboard"):
            show_table(f"{prefix}{name}", table)
    if file is not None:
        runs.log_file(at, id, file)
    with optional(run, f"{prefix}figures" if file is None else f"figures of {file.stem}"):
        runs.log_figures(at, id, {f"{prefix}{name}": figure for name, figure in figures().items()})


@contextmanager
def optional(run: Logged, part: str) -> Iterator[None]:
    """Let what only shows a result fail without its step; a tag of the MLflow run names it and the reason.

    Args:
        run: The run that it belongs to.
        part: Name of what is shown.
    """
    try:
        yield
    except Exception as error:
        missing = Missing.because(part, error)
        get_run_logger().warning("The step goes on without %s", missing)
        runs.tag_missing_part(run.tracking, run.mlflow_run, part, missing)
    else:
        runs.tag_missing_part(run.tracking, run.mlflow_run, part, None)


def show_table(name: str, table: Table) -> None:
    """A table artifact."""
    _show_rows(name, table.records(), table.caption)


def _show_rows(name: str, rows: Sequence[Mapping[str, Any]], description: str) -> None:
    """Show a table; its cells and the text above are Markdown to the dashboard."""
    shown = [
        {
            markdown.plain(column): markdown.plain(redacted(value)) if isinstance(value, str) else value
            for column, value in row.items()
        }
        for row in rows
    ]
    create_table_artifact(shown, key=key(name), description=markdown.plain(redacted(description)))


def show_page(name: str, text: str) -> None:
    """A page of Markdown as artifact."""
    create_markdown_artifact(redacted(text), key=key(name))


def show_result(name: str, title: str, result: Result) -> str:
    """A page with all of a result as artifact; its text."""
    text = markdown.page(title, result.headline, result.findings, result.tables().values())
    show_page(name, text)
    return text


def key(name: str) -> str:
    """The name as Prefect takes it, lower case with dashes; no two names become one."""
    plain = "".join(letter if letter.isalnum() and letter.isascii() else "-" for letter in name.lower())
    return plain if plain.replace("-", "_") == name else f"{plain}-{digest(name)[:8]}"


def show_run(at: TrackingConfig, run: str) -> None:
    """A link to the MLflow run; where no server shows it, its id and how to see it."""
    url = runs.run_url(at, run)
    if url is not None:
        what = f"[Metrics, figures and tables]({url})"
        create_link_artifact(url, link_text="MLflow run", key="mlflow-run", description=what)
        return
    text = f"MLflow run `{run}` in `{markdown.plain(redacted(str(at.tracking_uri)))}`. `braid ui` shows it."
    create_markdown_artifact(text, key="mlflow-run")


def show_report(at: TrackingConfig, run: str, file: Path) -> None:
    """A link to the HTML page: in MLflow where a server shows it, else to the file."""
    url = runs.run_url(at, run, file.name)
    where = f"One page with everything, on the machine of the run: {markdown.plain(file)}"
    create_link_artifact(url or file.as_uri(), link_text="Report", key="report", description=where)


def show_missing(missing: Sequence[Missing]) -> None:
    """List the steps that failed or were left out, where there are any."""
    if missing:
        show_page(
            "missing",
            markdown.page(
                "Missing", f"{len(missing)} steps are missing", [each.sentence for each in missing]
            ),
        )


SHOWN = 50


def show_quarantine(entries: pd.DataFrame, description: str) -> None:
    """A table artifact with the first entries, or a sentence where there are none.

    Args:
        entries: Of the quarantine, at least the first ``SHOWN`` of them.
        description: Above the table.
    """
    if len(entries):
        shown = entries.head(SHOWN).fillna("").astype(str)
        _show_rows("quarantine", shown.to_dict("records"), description)  # type: ignore[arg-type]
    else:
        create_markdown_artifact("Every row could be used.", key="quarantine")
