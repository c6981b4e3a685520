"""Common parts of all commands: their arguments, Prefect's API, messages and exit codes."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from pydantic import ValidationError
from rich.console import Console

from components.config import ConfigError, load_tracking
from components.config.section import Form
from components.config.validation import explain
from components.errors import BraidError, DataError
from components.redaction import redacted
from flows.workers import forkserver

UNEXPECTED, USAGE, DATA, MODEL, REFUSED, DRIFTED, DIFFERENT, INTERRUPTED = 1, 2, 3, 4, 5, 6, 7, 130

console = Console(stderr=True)

Config = Annotated[Path, typer.Argument(help="Pipeline file (YAML). Shipped examples are in configs/.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set", help="Change an option, for example --set fusion.name=gated. May be given more than once."
    ),
]
Workspace = Annotated[
    Path,
    typer.Option(
        envvar="BRAID_WORKSPACE", help="Folder with caches and runs, and by default MLflow's database."
    ),
]
TrackingFile = Annotated[Path, typer.Option("--mlflow", help="Where runs are logged: mlflow.yaml.")]
AsJson = Annotated[
    bool, typer.Option("--json", help="Print the result as one JSON object on standard output.")
]
ModelName = Annotated[
    str,
    typer.Argument(
        metavar="MODEL_OR_RUN",
        help="Registered model, whose champion is taken, or NAME/VERSION, NAME@ALIAS; or a run: key, "
        "MLflow run id, name or 'last'.",
    ),
]
Filled = TypeVar("Filled", bound=Form)
HERE = Path(".braid")
MLFLOW = Path("mlflow.yaml")
Name = Annotated[str, typer.Argument(metavar="NAME", help="Registered model.")]
Why = Annotated[str, typer.Option(help="Reason, kept with the version.")]


@contextmanager
def serving(
    module: str, workspace: Path, mlflow: Path, shown: Path | None = None, workers: bool = True
) -> Iterator[None]:
    """Prefect's API for the flow of a module, and its progress on the terminal.

    Args:
        module: Imported while a server starts.
        workspace: Where a server keeps its data.
        mlflow: Names the database that is made meanwhile, where it is new.
        shown: Workspace of the run, where it has one of its own.
        workers: Whether the flow has worker processes.
    """
    if workers:
        forkserver.begin()
    from flows.cli.progress_bars import followed
    from flows.servers.local import prefect_api
    from flows.workers.imports import imported

    place = shown or workspace

    def prepare() -> None:
        imported([module])
        from tasks.tracking.service import make_database

        make_database(str(load_tracking(mlflow, place.resolve()).tracking_uri))

    with followed(console, place), prefect_api(workspace.resolve(), prepare):
        yield


def checked(form: type[Filled], given: dict[str, Any], command: str) -> Filled:
    """Check the arguments of a command and return them in the form that its flow takes.

    Raises:
        ConfigError: If anything of it is not valid.
    """
    try:
        return form.model_validate(given)
    except ValidationError as error:
        raise ConfigError(explain(error, form, command)) from None


@contextmanager
def reported(
    workspace: Path, interrupted: str = "interrupted; the same command goes on where it stopped"
) -> Iterator[None]:
    """End with a message and an exit code instead of a traceback."""
    try:
        try:
            yield
        except BraidError:
            raise
        except Exception:
            from tasks.tracking.service import reached  # it knows MLflow's errors, and imports it

            with reached():
                raise
    except KeyboardInterrupt:
        raise _ended(interrupted, INTERRUPTED) from None
    except ConfigError as error:
        raise _ended(str(error), USAGE) from None
    except DataError as error:
        raise _ended(str(error), DATA) from None
    except BraidError as error:
        raise _ended(str(error), MODEL) from None
    except Exception as error:
        log = workspace / "error.txt"
        with suppress(OSError):  # what has happened is told also where nothing can be written
            log.parent.mkdir(parents=True, exist_ok=True)
            log.write_text(redacted(traceback.format_exc()), "utf-8")
        said = redacted(f"{type(error).__name__}: {error}")
        raise _ended(f"unexpected: {said}\nThe details are in {log}", UNEXPECTED) from None


def _ended(message: str, code: int) -> typer.Exit:
    console.print("[bold red]braid:[/]", end=" ")
    console.print(message, markup=False, highlight=False, soft_wrap=True)
    return typer.Exit(code)
