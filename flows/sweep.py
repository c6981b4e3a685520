"""Flow ``sweep``: fusions × seeds × searched options on cached features, ranked; the winner registered."""

import json
from collections import defaultdict
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from prefect import Flow, flow, get_run_logger
from prefect.context import FlowRunContext
from prefect.futures import PrefectFuture

from components.config.forms import SweepChanges
from components.config.sweep import SweepConfig, load_sweep
from components.engine.cluster import running
from components.errors import ModelError
from components.pipeline.run import settle, unimodal
from components.storage.atomic import write_json
from components.storage.digest import digest_json
from components.sweep.budget import width_for
from components.sweep.plan import Entry, Trial, expand
from components.sweep.ranking import Comparison, Entrant, Ranking
from components.sweep.study import Study, open_storage
from components.sweep.trial import TrialResult
from flows.retrain import Outcome, retrain
from flows.run.lifecycle import begin_run
from flows.run.steps import submitted
from flows.workers.pool import WORKERS, Workers, run_name, workers
from tasks.context import Context
from tasks.progress import Progress
from tasks.sweep import Arm, rank_task, score_task, trial_task
from tasks.tracking import runs


@dataclass(frozen=True)
class SweepOutcome:
    """Result of a finished sweep.

    Attributes:
        key: Key of the run.
        mlflow_run: Id of the parent run.
        rankings: One per pipeline.
        trials: Number of trials.
        extracted: Rows extracted now, by pipeline.
        registered: Run, model version and whether it is champion, by pipeline.
    """

    key: str
    mlflow_run: str
    rankings: tuple[Ranking, ...]
    trials: int
    extracted: dict[str, int]
    registered: dict[str, dict[str, Any]]


@flow(
    name="sweep",
    flow_run_name=run_name,
    task_runner=workers(WORKERS),  # type: ignore[arg-type]  # futures are invariant in prefect's types
)
def sweep(
    config: Path,
    changes: SweepChanges = SweepChanges(),  # noqa: B008  (immutable, and the form shows its fields)
    overrides: tuple[str, ...] = (),
    workspace: Path = Path(".braid"),
    tracking_file: Path = Path("mlflow.yaml"),
) -> SweepOutcome:
    """Compare fusions, search their options, rank them and register each pipeline's winner.

    Args:
        config: Sweep file.
        changes: Common changes of the file; an empty field keeps the value of the file.
        overrides: Other options that differ from the file, each ``section.option=value``.
        workspace: Folder of caches and runs, and MLflow's database by default.
        tracking_file: mlflow.yaml.
    """
    settings = load_sweep(config, [*changes.overrides(), *overrides])
    workspace = workspace.resolve()
    entries = expand(config, settings, workspace)
    _warn_of_few_workers(settings.parallel)
    facts = {"pipelines_digest": digest_json([entry.values for entry in entries])}
    options = settings.model_dump(mode="json")
    engines = [entry.config.engine for entry in entries]
    with (
        running(*engines),
        begin_run(config, settings.name, options, workspace, tracking_file, "sweep", facts) as (key, at, run),
    ):
        contexts = [Context(key, entry.config, entry.path.parent, workspace, at, run) for entry in entries]
        arms = {
            entry.config.name: _extract(context, entry, settings.seeds)
            for entry, context in zip(entries, contexts, strict=True)
        }
        search = _search(contexts, entries, arms, settings)
        rankings = []
        for entry, context in zip(entries, contexts, strict=True):
            entrants, failed = _score(entry, arms[entry.config.name], search[entry.config.name], settings)
            skipped = {**entry.skipped, **failed}
            rankings.append(rank_task.submit(context, entrants, settings.budget, skipped).result())
        registered = {
            entry.config.name: _register(entry, context, ranking, tracking_file)
            for entry, context, ranking in zip(entries, contexts, rankings, strict=True)
            if settings.register_winner
        }
        return SweepOutcome(
            key=key,
            mlflow_run=run,
            rankings=tuple(rankings),
            trials=sum(len(study.results()) for studies in search.values() for study in studies),
            extracted={
                name: sum(feature.extracted for arm in each for feature in arm.features.values())
                for name, each in arms.items()
            },
            registered=registered,
        )


def sweep_flow(parallel: int) -> Flow[..., SweepOutcome]:
    """Return the flow with this number of worker processes."""
    return sweep.with_options(task_runner=workers(parallel))  # type: ignore[arg-type]


def _warn_of_few_workers(parallel: int) -> None:
    """Warn if the flow has fewer processes than its file asks for: a deployment has its own number."""
    context = FlowRunContext.get()
    assert context is not None
    runner = context.task_runner
    processes = runner.size if isinstance(runner, Workers) else parallel
    if processes < parallel:
        get_run_logger().warning(
            "parallel: %s, but this flow has %s processes; more need "
            "PREFECT_TASKS_RUNNER_PROCESS_POOL_MAX_WORKERS=%s where the deployment is served",
            *(parallel, processes, parallel),
        )


def _extract(sweep: Context, entry: Entry, seeds: list[int]) -> list[Arm]:
    """Make the features of one pipeline for every seed; a seed reuses features of those before it."""
    at = sweep.tracking
    progress = Progress(sweep, f"features {entry.config.name}")
    before: dict[str, list[Any]] = {}
    begun_arms = []
    for seed in seeds:
        config = entry.configured([f"seed={seed}"])
        label = f"{config.name}-{seed}"
        tags = {"config": config.name, "kind": "features"}
        run = runs.nested_run(at, sweep.mlflow_run, f"features {label}", tags)
        runs.log_params(at, run, config.model_dump(mode="json"))
        context = replace(sweep, key=f"{sweep.key}/{label}", config=config, mlflow_run=run)
        steps = submitted(context, before)
        parts = unimodal(steps, config, steps.wait(steps.ingest()))
        before = {name: [feature] for name, feature in parts.features.items()}
        begun_arms.append((context, steps, parts))

    arms = []
    for number, (context, steps, parts) in enumerate(begun_arms):
        progress(number, len(seeds), f"seed {context.config.seed}")
        settle(steps, parts)
        features, singles, unseen = (
            steps.wait(parts.features),
            steps.wait(parts.singles),
            steps.wait(parts.unseen),
        )
        runs.end_run(at, context.mlflow_run, "FINISHED")
        arms.append(Arm(context, sweep.mlflow_run, parts.dataset, features, singles, unseen, parts.folds))
    rows = sum(feature.extracted for arm in arms for feature in arm.features.values())
    progress.finish(f"{rows} rows extracted for {len(seeds)} seeds")
    return arms


def _search(
    contexts: list[Context], entries: list[Entry], arms: dict[str, list[Arm]], settings: SweepConfig
) -> dict[str, list[Study]]:
    """Run every trial; return the studies of each pipeline.

    All studies run side by side: in each round every one of them proposes its next batch. The whole sweep has
    one batch size, just large enough for all workers.
    """
    storage = open_storage(contexts[0].folder / "studies.db")
    number = sum(len(entry.fusions) * len(settings.seeds) for entry in entries)
    batch = -(-settings.parallel // number)
    studies: dict[str, list[Study]] = defaultdict(list)
    sources: dict[str, tuple[Entry, Arm]] = {}
    for entry in entries:
        for arm in arms[entry.config.name]:
            for fusion in entry.fusions:
                study = Study(
                    storage,
                    f"{entry.config.name}/{arm.context.config.seed}/{fusion}",
                    fusion=fusion,
                    seed=arm.context.config.seed,
                    metric=entry.config.target.metric,
                    space=settings.search.space,
                    trials=settings.search.trials,
                    batch=batch,
                    check=_check(entry),
                )
                studies[entry.config.name].append(study)
                sources[study.name] = (entry, arm)

    progress = {
        context.config.name: Progress(context, f"trials {context.config.name}") for context in contexts
    }
    everything = [study for each in studies.values() for study in each]
    while asked := [(study, trial) for study in everything for trial in study.ask()]:
        running = []
        for study, trial in asked:
            entry, arm = sources[study.name]
            earlier = study.earlier(trial) if settings.pruning else None
            running.append((study, trial, entry, _submit(entry, arm, trial, earlier)))
        for study, trial, entry, future in running:
            result = future.result()
            study.tell(trial, result)
            name = entry.config.name
            done = sum(len(each.results()) for each in studies[name])
            shown = f"{trial.fusion}, seed {trial.seed}: val {entry.config.target.metric} {result.metric:.3f}"
            progress[name](done, sum(each.trials for each in studies[name]), shown)
    for name, each in studies.items():
        results = [result.status for study in each for _, result in study.results()]
        ends = [f"{results.count(status)} {status}" for status in ("pruned", "failed") if status in results]
        progress[name].finish(", ".join([f"{len(results)} trials", *ends]))
    return studies


def _score(
    entry: Entry, arms: list[Arm], studies: list[Study], settings: SweepConfig
) -> tuple[list[Entrant], dict[str, str]]:
    """Evaluate the best trial of every study, and its twin at the budget; list studies without one."""
    by_seed = {arm.context.config.seed: arm for arm in arms}
    chosen: list[tuple[Arm, Trial, TrialResult, Comparison]] = []
    matched: list[tuple[Arm, Trial, PrefectFuture[TrialResult]]] = []
    failed = {}
    for study in studies:
        best, arm = study.best(), by_seed[study.seed]
        if best is None:
            notes = [result.note for _, result in study.results() if result.note]
            failed[f"{study.fusion} (seed {study.seed})"] = (notes or ["no trial finished"])[-1]
            continue
        chosen.append((arm, *best, "selected"))
        if settings.budget is not None:
            trial = _resized(entry, arm, best[0], settings.budget)
            matched.append((arm, trial, _submit(entry, arm, trial, None)))
    for arm, trial, future in matched:
        result = future.result()
        if result.training is None:
            failed[f"{trial.fusion} at the budget (seed {trial.seed})"] = result.note
        else:
            chosen.append((arm, trial, result, "budget"))
    if not any(comparison == "selected" for *_, comparison in chosen):
        reasons = "; ".join(f"{name}: {reason}" for name, reason in failed.items())
        raise ModelError(f"{entry.path}: no trial finished, so there is nothing to rank ({reasons})")
    futures = [
        score_task.submit(arm, trial, entry.configured(trial.overrides), arm.label(trial), result, comparison)
        for arm, trial, result, comparison in chosen
    ]
    return [future.result() for future in futures], failed


def _submit(
    entry: Entry, arm: Arm, trial: Trial, earlier: list[tuple[float, ...]] | None
) -> PrefectFuture[TrialResult]:
    config = entry.configured(trial.overrides)
    return trial_task.submit(arm, trial, config, arm.label(trial), earlier)


def _resized(entry: Entry, arm: Arm, trial: Trial, budget: int) -> Trial:
    """Set the width of a trial to the budget; a trial of a fusion without width stays as it is."""
    widths = {name: feature.encoder.width for name, feature in arm.features.items()}
    fusion = entry.configured(trial.overrides).fusion
    width = width_for(budget, fusion, widths, arm.dataset.targets)
    params = trial.params if width is None else {**trial.params, "fusion.width": width}
    return Trial(-1, trial.fusion, trial.seed, params)


def _check(entry: Entry) -> Callable[[Trial], object]:
    return lambda trial: entry.configured(trial.overrides)


def _register(entry: Entry, sweep: Context, ranking: Ranking, tracking_file: Path) -> dict[str, Any]:
    """Run the pipeline with its winner, unless this sweep did so before a kill."""
    stored = sweep.folder / f"registered-{ranking.pipeline}.json"
    if not stored.exists():
        winner = Trial(-1, ranking.winner, ranking.seed, ranking.params)
        outcome = retrain(
            entry.path,
            overrides=tuple(winner.overrides),
            workspace=sweep.workspace,
            tracking_file=tracking_file,
            again=True,
        )
        assert isinstance(outcome, Outcome)  # it runs again
        registered = outcome.registered
        report = None if outcome.report is None else str(outcome.report)
        facts = {"run": outcome.key, "mlflow_run": outcome.mlflow_run, "report": report}
        model = {"model": asdict(registered.version), "champion": registered.champion}
        write_json(stored, {**facts, **model, "promotion": registered.reason})
    record: dict[str, Any] = json.loads(stored.read_text("utf-8"))
    version = record["model"]
    tags = {f"registered.{ranking.pipeline}": f"{version['name']}/{version['version']}"}
    runs.set_tags(sweep.tracking, sweep.mlflow_run, tags)
    return record
