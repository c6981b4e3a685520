"""Arguments, messages and exit codes of all commands, and the API of Prefect that they use."""

import shutil
import signal
import traceback
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from tempfile import mkdtemp
from types import FrameType
from typing import Annotated, Any, TypeVar

import typer
from pydantic import ValidationError
from rich.console import Console

from components.config import ConfigError, load_tracking
from components.config.section import Form
from components.config.validation import explain
from components.errors import BraidError, DataError, ServiceError
from components.redaction import redacted
from components.storage.private import write_private
from components.storage.writable import require_writable
from flows.cli.terminal import print_text, say
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
        envvar="BRAID_WORKSPACE", help="Folder of caches and runs, and by default of MLflow's database."
    ),
]
TrackingFile = Annotated[Path, typer.Option("--mlflow", help="File with MLflow's addresses: mlflow.yaml.")]
AsJson = Annotated[
    bool, typer.Option("--json", help="Print the result as one JSON object on standard output.")
]
ModelName = Annotated[
    str,
    typer.Argument(
        metavar="MODEL_OR_RUN",
        help="Registered model (its champion), NAME/VERSION or NAME@ALIAS; or a run: key, MLflow run id, "
        "name or 'last'.",
    ),
]
RunName = Annotated[
    str,
    typer.Argument(
        metavar="RUN", help="Run key, MLflow run id or run name; 'last' is the newest retraining."
    ),
]
TableFormat = Annotated[str, typer.Option(help="Format of the table; auto takes it from the name.")]
QualityOption = Annotated[
    str | None,
    typer.Option("--quality", help="fast, good or best: preset of every option that the file leaves open."),
]
TimeLimit = Annotated[
    str | None,
    typer.Option(
        "--time-limit", help="Most time, such as 90s, 10m or 2h: the run ends with the best that it has then."
    ),
]
Filled = TypeVar("Filled", bound=Form)
HERE = Path(".braid")
MLFLOW = Path("mlflow.yaml")
Name = Annotated[str, typer.Argument(metavar="NAME", help="Registered model.")]
Why = Annotated[str, typer.Option(help="Reason, stored with the version.")]


@contextmanager
def serving(
    module: str, workspace: Path, mlflow: Path, shown: Path | None = None, workers: bool = True
) -> Iterator[None]:
    """Provide Prefect's API for the flow of a module, and show its progress on the terminal.

    Args:
        module: Module that is imported while a server starts.
        workspace: Folder with a server's data.
        mlflow: File that names MLflow's database, which is made meanwhile if it is new.
        shown: Workspace of the run, where it has one of its own.
        workers: True for a flow with worker processes.
    """
    require_writable(workspace)
    from flows.cli.progress_bars import followed
    from flows.servers.local import prefect_api
    from flows.workers.imports import imported

    shown = shown or workspace

    def prepare() -> None:
        imported([module, "flows.run.end_lost"])
        if workers:
            forkserver.begin()
        from tasks.tracking.service import make_database

        make_database(str(load_tracking(mlflow, shown.resolve()).tracking_uri))

    with followed(console, shown) as follow, prefect_api(workspace.resolve(), prepare):
        from flows.run.end_lost import end_lost_runs
        from flows.run.lost import marked

        follow()
        end_lost_runs(workspace.resolve(), load_tracking(mlflow, shown.resolve()), shown.resolve())
        with marked(workspace.resolve()):
            yield


def show(as_json: bool, outcome: object, *about: Any) -> None:
    """Print the outcome of a command: one JSON value for programs, or tables and findings for people.

    Args:
        as_json: True for programs.
        outcome: What the command gives.
        about: What else is shown of it.
    """
    from flows.cli.json_output import JSON
    from flows.cli.tables import TABLES

    if as_json:
        say(JSON[type(outcome)](outcome, *about))
    else:
        TABLES[type(outcome)](Console(), outcome, *about)


@contextmanager
def readable(workspace: Path, keep: bool = False) -> Iterator[Path]:
    """Give the workspace to a command that reads it, or a temporary copy of its records if it is read-only.

    Args:
        workspace: The workspace.
        keep: True if the command shows paths: then the copy stays.
    """
    try:
        require_writable(workspace)
    except ServiceError as error:
        reason = str(error)
    else:
        yield workspace
        return
    from tasks.tracking.service import copy_records

    folder = Path(mkdtemp(prefix="braid-"))
    try:
        copy_records(workspace, folder)
        note = f"nothing is left in the workspace: {reason}"
        print_text(console, note)
        yield folder
    finally:
        if not keep:
            shutil.rmtree(folder)


def checked(form: type[Filled], given: dict[str, Any], command: str) -> Filled:
    """Check the arguments of a command and return them as the form that its flow takes.

    Raises:
        ConfigError: If an argument is not valid.
    """
    try:
        return form.model_validate(given)
    except ValidationError as error:
        raise ConfigError(explain(error, form, command)) from None


@contextmanager
def reported(
    workspace: Path, interrupted: str = "interrupted; the same command resumes where it stopped"
) -> Iterator[None]:
    """End with a message and an exit code instead of a traceback."""
    try:
        try:
            with _interruptible():
                yield
        except BraidError:
            raise
        except Exception:
            from tasks.tracking.service import service_errors  # imports MLflow, for its errors

            with service_errors():
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
        with suppress(OSError):  # the message appears also where nothing can be written
            write_private(log, redacted(traceback.format_exc()))
        message = redacted(f"{type(error).__name__}: {error}")
        raise _ended(f"unexpected: {message}\nThe details are in {log}", UNEXPECTED) from None


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let SIGTERM and the end of the terminal end the block as Ctrl-C does."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    with ExitStack() as stack:
        for number in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) == signal.SIG_DFL:  # nohup ignores the end of the terminal
                signal.signal(number, interrupt)
                stack.callback(signal.signal, number, signal.SIG_DFL)
        yield


def _ended(message: str, code: int) -> typer.Exit:
    console.print("[bold red]braid:[/]", end=" ")
    print_text(console, message)
    return typer.Exit(code)
