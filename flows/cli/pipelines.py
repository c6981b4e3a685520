"""Commands that train: run, sweep, distill, reproduce; and check and report beside them."""

import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from components.config import ConfigError, EngineConfig, load_pipeline, load_tracking
from components.config.forms import RetrainChanges
from components.errors import BraidError
from flows.cli.options import (
    DIFFERENT,
    HERE,
    MLFLOW,
    AsJson,
    Config,
    Overrides,
    QualityOption,
    RunName,
    TimeLimit,
    TrackingFile,
    Workspace,
    checked,
    console,
    readable,
    reported,
    serving,
    show,
)
from flows.cli.terminal import say


def run(
    config: Config,
    overrides: Overrides = None,
    again: Annotated[
        bool, typer.Option("--again", help="Run even if nothing is new since the last run.")
    ] = False,
    workspace: Workspace = HERE,
    mlflow: TrackingFile = MLFLOW,
    as_json: AsJson = False,
    quality: QualityOption = None,
    time_limit: TimeLimit = None,
) -> None:
    """Run a pipeline: data to a registered, evaluated model. Resumes a killed run.

    Ends after the check of the data if data, code and settings are those of the last finished run.
    """
    with reported(workspace):
        changes = checked(RetrainChanges, {"quality": quality, "time_limit": time_limit}, "braid run")
        load_pipeline(
            config, [*changes.overrides(), *(overrides or [])]
        )  # a fault in the file is reported before servers start
        with serving("flows.retrain", workspace, mlflow):
            from flows.retrain import retrain

            outcome = retrain(
                config,
                changes,
                tuple(overrides or ()),
                workspace=workspace,
                tracking_file=mlflow,
                again=again,
            )
    show(as_json, outcome)


def sweep(
    config: Annotated[Path, typer.Argument(help="Sweep file (YAML), as configs/bakeoff.yaml; or pipeline.")],
    overrides: Overrides = None,
    workspace: Workspace = HERE,
    mlflow: TrackingFile = MLFLOW,
    as_json: AsJson = False,
) -> None:
    """Compare fusions over seeds, search their options, register the winner. Resumes a killed sweep."""
    with reported(workspace):
        from components.config.sweep import load_sweep

        parallel = load_sweep(config, overrides or []).parallel
        with serving("flows.sweep", workspace, mlflow):
            from flows.sweep import sweep_flow

            outcome = sweep_flow(parallel)(
                config, overrides=tuple(overrides or ()), workspace=workspace, tracking_file=mlflow
            )
    show(as_json, outcome)


def distill(
    config: Annotated[Path, typer.Argument(help="Distill file (YAML), such as configs/emoji-distill.yaml.")],
    overrides: Overrides = None,
    workspace: Workspace = HERE,
    mlflow: TrackingFile = MLFLOW,
    as_json: AsJson = False,
) -> None:
    """Train students with fewer inputs with a model's help, and measure the gain of that help."""
    with reported(workspace):
        from components.config.distill import load_distill

        load_distill(config, overrides or [])
        with serving("flows.distill", workspace, mlflow):
            from flows.distill import distill as distill_flow

            distilled = distill_flow(
                config, overrides=tuple(overrides or ()), workspace=workspace, tracking_file=mlflow
            )
    show(as_json, distilled)


def init(
    table: Annotated[str, typer.Argument(metavar="TABLE", help="Table with a row per sample: path or URL.")],
    target: Annotated[str, typer.Option(metavar="COLUMN", help="Column that is predicted.")],
    group: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="Column of groups, such as persons; each stays in one split."),
    ] = None,
    time: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Column of times; the newest rows become the test.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="File that is written; by default NAME.yaml here.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write a first pipeline file for a table, with a comment per choice. Overwrites nothing."""
    with reported(HERE):
        from components.data.draft import draft

        made = draft(table, target, group, time, None if out is None else out.parent)
        file = out or Path(f"{made.name}.yaml")
        try:
            with file.open("x", encoding="utf-8") as stream:
                stream.write(made.text)
        except FileExistsError:
            raise ConfigError(f"{file} exists and is not overwritten: choose another name by --out") from None
        except OSError as error:
            raise ConfigError(f"{file}: cannot be written ({error.strerror}): choose another --out") from None
    show(as_json, made, file)


def check(
    config: Config,
    overrides: Overrides = None,
    workspace: Workspace = HERE,
    as_json: AsJson = False,
    quality: QualityOption = None,
) -> None:
    """Check a pipeline file and its data; show what would be used. Trains nothing."""
    with reported(workspace):
        from components.data.ingest import ingest
        from components.data.tasks import settle_tasks

        changes = checked(RetrainChanges, {"quality": quality}, "braid check")
        pipeline = load_pipeline(config, [*changes.overrides(), *(overrides or [])])
        device = _device(pipeline.engine)
        base = config.resolve().parent
        with readable(workspace, keep=True) as folder, console.status("checking every file"):
            files = folder / "data" / pipeline.name
            pipeline = settle_tasks(pipeline, files, base)
            dataset = ingest(pipeline, files, base)
    show(as_json, dataset, pipeline, device)


def _device(engine: EngineConfig) -> str:
    """Name the device of networks. Raises a BraidError if this machine does not have it."""
    from components.engine.cluster import import_ray
    from components.runtime.device import choose_device

    if engine.name == "local":
        return str(choose_device(engine.device))
    import_ray()
    return f"{engine.device} on Ray"


def report(
    name: RunName,
    workspace: Workspace = HERE,
    mlflow: TrackingFile = MLFLOW,
    open_page: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
) -> None:
    """Print the path of a run's HTML report, fetched from MLflow if need be."""
    with reported(workspace):
        from tasks.tracking import runs

        with readable(workspace, keep=True) as folder:
            at = load_tracking(mlflow, folder.resolve())
            run = runs.find_run(at, name)
            if run is None:
                raise BraidError(f"there is no run {name!r} in {at.tracking_uri}; `braid ui` lists all runs")
            path = runs.download(at, run.info.run_id, "report.html", folder / "reports" / run.info.run_id)
    say(str(path.resolve()))
    if open_page:
        webbrowser.open(path.resolve().as_uri())


def reproduce(
    name: RunName,
    overrides: Overrides = None,
    workspace: Workspace = HERE,
    mlflow: TrackingFile = MLFLOW,
    as_json: AsJson = False,
) -> None:
    """Repeat a finished run from nothing and compare both to the last bit; exit code 7 if results differ."""
    with reported(workspace):
        from flows.reproduce import check_data, repetition_folder
        from flows.reproduce import reproduce as reproduce_run
        from tasks.reproduce import carried

        original = carried(load_tracking(mlflow, workspace.resolve()), name)
        pipeline = original.pipeline(overrides or [])
        folder = repetition_folder(workspace.resolve(), original)
        if not overrides:  # they may choose other rows
            with console.status("comparing the data"):
                check_data(original, pipeline, folder)
        with serving("flows.reproduce", workspace, folder / "mlflow.yaml", folder):
            reproduced = reproduce_run(original, pipeline, folder)
    show(as_json, reproduced)
    if not reproduced.comparison.same_results:
        raise typer.Exit(DIFFERENT)
