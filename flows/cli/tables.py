"""Outcomes of the commands on the terminal: tables, findings and addresses."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from rich.console import Console

from components.config import PipelineConfig
from components.config.presets import preset_of
from components.data.draft import Draft
from components.pipeline.basis import NoRetraining
from components.pipeline.folds import number_of_folds
from components.pipeline.learners import learners_of
from components.references import Dataset
from components.results.table import Cell, Table, number, text
from components.results.visible import visible
from components.retrieval.search import Hit
from components.targets import AnyTarget, Regression
from flows.cli.terminal import print_findings, print_places, print_result, print_table, print_text
from flows.distill import Distilled
from flows.monitor import Monitored
from flows.reproduce import Reproduced
from flows.retrain import Outcome
from flows.score import Scored
from flows.sweep import SweepOutcome
from tasks.promote import Promotion
from tasks.tracking.champions import Moved
from tasks.tracking.listings import Models, Runs

_EVIDENCE = {"recorded": "recorded by its run", "scored": "scored now", "none": ""}


def show_outcome(console: Console, outcome: Outcome) -> None:
    """Print the candidates of every target with intervals, the findings and the addresses."""
    for each in (outcome.evaluation, *outcome.further):
        for name in ("results", "learners"):
            if name in each.tables():
                print_table(console, each.tables()[name], each.target if outcome.further else "")
    extracted, registered = sum(outcome.extracted.values()), outcome.registered
    print_findings(
        console,
        [
            *outcome.evaluation.findings,
            *(() if outcome.retrieval is None else outcome.retrieval.findings),
            f"{extracted} rows extracted" + (": nothing had changed." if extracted == 0 else "."),
            *(missing.sentence for missing in outcome.missing),
            registered.sentence,
        ],
    )
    places = {
        "report": outcome.report or "missing",
        "MLflow run": _mlflow(outcome.mlflow_run),
        "model": registered.uri,
    }
    print_places(console, places)


def show_no_retraining(console: Console, ended: NoRetraining) -> None:
    """Print why a run has ended without a retraining, the last decision, and how to see or repeat it."""
    print_findings(console, [f"{ended.sentence}."])
    places = {
        "last run": f"{ended.since}   (its report: braid report {ended.since})",
        "MLflow run": _mlflow(ended.since_run),
        "model": _version(ended.model, ended.version),
        "all the same": "braid run --again",
    }
    print_places(console, places)


def show_distilled(console: Console, distilled: Distilled) -> None:
    """Print every student alone and with its teacher, the gain of that help, and the addresses."""
    print_table(console, distilled.result.tables()["distillation"])
    registered = [each.sentence for each in distilled.registered.values()]
    print_findings(console, [*distilled.result.findings, *registered])
    print_places(console, {"MLflow run": _mlflow(distilled.mlflow_run)})


def show_scored(console: Console, scored: Scored) -> None:
    """Print the count of each prediction, the rows that could not be used, and the paths."""
    job, summary, more = scored.job, scored.summary, []
    if scored.repeated:
        more.append("All rows had been scored before; none was scored again.")
    if scored.written is not None:
        more.append(f"{scored.written} rows written to table {job.config.table}.")
    places = {
        "predictions": job.predictions,
        "quarantine": job.quarantine,
        "MLflow run": _mlflow(summary.run),
        "model": _version(job.model.name, job.model.version),
    }
    print_result(console, summary, more, places=places)


def show_monitored(console: Console, monitored: Monitored) -> None:
    """Print every comparison, the drift and the addresses."""
    model = monitored.model
    places = {"MLflow run": _mlflow(monitored.mlflow_run), "model": _version(model.name, model.version)}
    print_result(console, monitored.drift, compact=True, places=places)


def show_reproduced(console: Console, reproduced: Reproduced) -> None:
    """Print the first difference of each kind between a run and its repetition."""
    places = {
        "run": reproduced.original,
        "repetition": f"{reproduced.again}   (braid ui --workspace {reproduced.workspace})",
    }
    print_result(console, reproduced.comparison, compact=True, places=places)


def show_promotion(console: Console, promotion: Promotion, challenger: str) -> None:
    """Print the checks of the rule, their evidence, and the fate of the alias."""
    evidence = promotion.evidence
    if evidence is not None:
        for table in evidence.verdict.tables().values():
            print_table(console, table, f"{challenger}, {_EVIDENCE[evidence.source]}")
    if promotion.moved is not None:
        line = f"{challenger} is champion: {promotion.moved.reason}."
    else:
        assert evidence is not None
        state = "undecided" if evidence.verdict.undecided else "refused"
        line = f"{state}, the champion stays: {evidence.verdict.reason}. --force skips the rule."
    print_text(console, visible(line))


def show_sweep(console: Console, outcome: SweepOutcome) -> None:
    """Print the ranking of every pipeline, and the addresses."""
    for ranking in outcome.rankings:
        for table in ranking.tables().values():
            print_table(console, table, compact=True)
        lines = [f"{ranking.headline}.", *ranking.findings]
        registered = outcome.registered.get(ranking.pipeline)
        if registered is not None:
            state = "champion" if registered["champion"] else "challenger"
            version = _version(registered["model"]["name"], registered["model"]["version"])
            lines.append(f"{version} is {state}: {registered['promotion']}.")
        print_findings(console, lines)
    extracted = sum(outcome.extracted.values())
    print_text(console, f"{outcome.trials} trials, {extracted} rows extracted")
    print_places(console, {"MLflow run": _mlflow(outcome.mlflow_run)})


def show_check(console: Console, dataset: Dataset, config: PipelineConfig, device: str) -> None:
    """Print the data, options and device that a run would use."""
    learners = learners_of(config, dataset)
    rows = tuple(
        (
            name,
            each.modality,
            ", ".join(each.columns),
            ", ".join(learner.options.name for learner in learners if learner.input == name),
            f"{dataset.missing[name]} rows",
        )
        for name, each in config.inputs.items()
    )
    title = f"{config.name}: {dataset.rows} usable rows of {dataset.source}"
    columns = tuple(map(text, ("input", "modality", "columns", "encoder", "missing in")))
    print_table(console, Table(title, columns, rows, title=title))
    print_places(console, {"rows": ", ".join(f"{split} {count}" for split, count in dataset.splits.items())})
    if dataset.left_out:
        print_places(console, {"left out": ", ".join(f"{why} {n}" for why, n in dataset.left_out.items())})
    for split, (first, last) in dataset.periods.items():
        print_places(console, {f"time of {split}": f"{first} to {last} UTC"})
    for target in dataset.targets:
        print_places(console, {"target": _described(target)})
    if dataset.readings:
        columns = tuple(map(text, ("column", "read as")))
        print_table(
            console, Table("Columns of tables and targets.", columns, tuple(dataset.readings.items()))
        )
    reasons = f"  (reasons in {dataset.quarantine})" if dataset.quarantined else ""
    places = {
        "quarantined": f"{dataset.quarantined}{reasons}",
        "quality": _preset(config, dataset),
        "time limit": config.time_limit or "none",
        "fusion": f"{config.fusion.name}, {config.strategy}",
        "device": device,
    }
    print_places(console, places)
    if dataset.findings:
        print_findings(console, dataset.findings)


def show_hits(console: Console, hits: Sequence[Hit], wanted: str) -> None:
    """Print the hits of a search, the nearest first."""
    targets = list(dict.fromkeys(name for hit in hits for name in hit.targets))
    columns = (number("rank", ""), text("id"), number("similarity"), *map(text, (*targets, wanted)))
    rows: tuple[tuple[Cell, ...], ...] = tuple(
        (rank, hit.id, hit.similarity, *(hit.targets.get(name, "") for name in targets), hit.shown)
        for rank, hit in enumerate(hits, start=1)
    )
    print_table(console, Table("The nearest first.", columns, rows))


def show_moved(console: Console, moved: Moved) -> None:
    """Print the move of an alias."""
    print_text(console, visible(f"{moved.name} version {moved.champion} is champion: {moved.reason}."))


def _preset(config: PipelineConfig, dataset: Dataset) -> str:
    """Describe what the quality of a pipeline has chosen."""
    folds = number_of_folds(config, dataset, len(learners_of(config, dataset)))
    chosen = {"folds": folds} if config.training.folds is None else {}
    values = ", ".join(f"{path} {value}" for path, value in {**chosen, **preset_of(config)}.items())
    return f"{config.quality}  ({values})" if values else config.quality


def show_draft(console: Console, draft: Draft, file: Path) -> None:
    """Print the columns with their use, the file, and the commands that come next."""
    print_table(console, draft.table)
    print_places(console, {"written": file, "next": f"braid check {file}", "then": f"braid run {file}"})


def show_listed(console: Console, listed: Runs | Models) -> None:
    """Print the runs or models, or that there are none."""
    if listed.table.rows:
        print_table(console, listed.table, compact=True)
    else:
        print_text(console, listed.none)


def _described(target: AnyTarget) -> str:
    if isinstance(target, Regression) and target.shift is not None:
        usual = target.predict(target.prior(np.zeros(0)).unsqueeze(0)).numpy()
        (low,), (high,) = target.interval(usual, 1.0)
        return f"{target.name}: a number on a log scale, mostly {low:.4g} to {high:.4g} in the training rows"
    if isinstance(target, Regression):
        return f"{target.name}: a number, {target.mean:.4g} ± {target.std:.4g} in the training rows"
    return f"{target.name}: {target.task}, {len(target.classes)}: {', '.join(target.classes)}"


def _mlflow(run: str) -> str:
    return f"{run}   (all runs: braid ui)"


def _version(name: str, version: str | None) -> str:
    return f"{name} version {version}" if version else name


TABLES: dict[type, Callable[..., None]] = {
    Outcome: show_outcome,
    NoRetraining: show_no_retraining,
    SweepOutcome: show_sweep,
    Distilled: show_distilled,
    Scored: show_scored,
    Monitored: show_monitored,
    Reproduced: show_reproduced,
    Promotion: show_promotion,
    Moved: show_moved,
    Draft: show_draft,
    Runs: show_listed,
    Models: show_listed,
    Dataset: show_check,
    list: show_hits,
}
