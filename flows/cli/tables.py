"""What the terminal shows when a command is done: tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table

from components.config import PipelineConfig
from components.evaluation.results import CandidateResult, Evaluation, Gain
from components.references import Dataset
from components.retrieval.search import Hit
from components.sweep.ranking import Ranking, Row
from components.targets import AnyTarget, Regression
from flows.distill import Distilled
from flows.monitor import Monitored
from flows.reproduce import Reproduced
from flows.retrain import Outcome
from flows.score import Scored
from flows.sweep import SweepOutcome
from tasks import align, distill, monitor, sweep
from tasks.promote import Promotion
from tasks.report import balance_warnings
from tasks.score import headline

_SHOWN = 12  # differences of one kind


def show_outcome(console: Console, outcome: Outcome, config: PipelineConfig) -> None:
    """The table of all candidates with intervals, what was proved, and where to look next."""
    evaluation = outcome.evaluation
    for each in (evaluation, *outcome.further):
        console.print(results_table(each, named=bool(outcome.further)))
    console.print(Panel(escape("\n".join(_findings(outcome))), title="Findings", title_align="left"))
    console.print(
        "\n".join(
            [
                f"report        {outcome.report}",
                f"MLflow run    {outcome.mlflow_run}   (all runs: braid ui)",
                f"model         {outcome.registered.uri}",
            ]
        ),
        highlight=False,
        soft_wrap=True,
    )


def show_distilled(console: Console, distilled: Distilled) -> None:
    """Every student alone and with its teacher, what the help was worth, and where to look next."""
    result = distilled.result
    table = Table(title=f"{result.rows} test rows, {result.confidence:.0%} intervals, means over the seeds")
    table.add_column("student", no_wrap=True)
    for column in ("alone", "with teacher", "gain", "over rows", "over seeds"):
        table.add_column(column, justify="right")
    for student in result.students:
        over_rows, over_seeds = (
            f"{bound.low:+.3f} … {bound.high:+.3f}" for bound in (student.over_rows, student.over_seeds)
        )
        table.add_row(
            escape(f"{student.name} ({' + '.join(student.inputs)})"),
            f"{student.alone:.3f}",
            f"{student.taught:.3f}",
            f"{student.over_rows.value:+.3f}",
            over_rows,
            over_seeds if len(student.seeds) > 1 else "one seed",
        )
    table.add_row(
        f"teacher ({' + '.join(result.teacher_inputs)})", f"{result.teacher.value:.3f}", style="dim"
    )
    console.print(table)
    lines = [distill.headline(result, student) + "." for student in result.students]
    lines += [
        f"{registered.version.name} version {registered.version.version} is "
        f"{registered.state}: {registered.reason}."
        for registered in distilled.registered.values()
    ]
    console.print(Panel(escape("\n".join(lines)), title="Findings", title_align="left"))
    console.print(f"MLflow run    {distilled.mlflow_run}   (all runs: braid ui)", highlight=False)


def show_scored(console: Console, scored: Scored) -> None:
    """How often each answer was given, what could not be used, and where everything lies."""
    job, summary = scored.job, scored.summary
    table = Table()
    for column in ("target", "answer"):
        table.add_column(column, overflow="fold")
    for column in ("rows", "share"):
        table.add_column(column, justify="right")
    for target, counts in summary.labels.items():
        for label, count in counts.items():
            table.add_row(escape(target), escape(label), str(count), f"{count / max(summary.scored, 1):.1%}")
    for target, values in summary.values.items():
        for what, value in values.items():
            table.add_row(escape(target), f"{what} {value:.4g}", "", "")
    console.print(table)
    lines = [headline(summary) + "."]
    lines += [f"Scored without {name}: {count} rows." for name, count in summary.missing.items() if count]
    if summary.absent:
        lines.append(f"The table lacks {', '.join(summary.absent)}.")
    if scored.repeated:
        lines.append("All of it had been scored before; nothing was done again.")
    if scored.written is not None:
        lines.append(f"{scored.written} rows written to table {job.config.table}.")
    console.print(Panel(escape("\n".join(lines)), title="Findings", title_align="left"))
    version = f" version {job.model.version}" if job.model.version else ""
    console.print(
        f"predictions   {job.predictions}\nquarantine    {job.quarantine}\n"
        f"MLflow run    {summary.run}   (all runs: braid ui)\nmodel         {job.model.name}{version}",
        highlight=False,
        soft_wrap=True,
        markup=False,
    )


def show_monitored(console: Console, monitored: Monitored) -> None:
    """Every comparison, what has moved, and where to look next."""
    drift, model = monitored.drift, monitored.model
    title = f"false alarms in at most {drift.level:.0%} of reports"
    table = Table(title=title, box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    found = monitor.table(drift)
    for column in map(str, found):
        table.add_column(column, justify="left" if column == "compared" else "right", overflow="fold")
    for row, test in zip(found.astype(str).to_numpy().tolist(), drift.tests, strict=True):
        table.add_row(*map(escape, row), style="bold red" if test.drifted else "")
    console.print(table)
    lines = [f"{monitor.headline(drift)}.", *(f"Not compared: {note}." for note in drift.notes)]
    console.print(Panel(escape("\n".join(lines)), title="Findings", title_align="left"))
    version = f" version {model.version}" if model.version else ""
    console.print(
        f"MLflow run    {monitored.mlflow_run}   (all runs: braid ui)\nmodel         {model.name}{version}",
        highlight=False,
        markup=False,
    )


def results_table(evaluation: Evaluation, named: bool = False) -> Table:
    """Every candidate on validation and test; ``named`` tells which target it is."""
    metric = evaluation.metric
    title = f"{evaluation.rows['test']} test rows, {evaluation.confidence:.0%} intervals"
    table = Table(title=f"{escape(evaluation.target)}: {title}" if named else title)
    table.add_column("model", no_wrap=True)
    for column in (f"val {metric}", f"test {metric}", "interval", "log loss"):
        table.add_column(column, justify="right")
    for candidate in evaluation.candidates:
        table.add_row(*_row(candidate, evaluation), style="bold" if candidate.kind == "delivered" else "")
    return table


def show_reproduced(console: Console, found: Reproduced) -> None:
    """What a run and its repetition differ in, the first of each kind."""
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for column in ("differs", "what", "then", "now"):
        table.add_column(column, overflow="fold")
    kinds = Counter[str]()
    for difference in found.differences:
        kinds[difference.part] += 1
        if kinds[difference.part] <= _SHOWN:
            then, now = ("—" if value is None else str(value) for value in (difference.then, difference.now))
            table.add_row(difference.part, *map(escape, (difference.name, then, now)))
    for part, count in kinds.items():
        if count > _SHOWN:
            table.add_row(part, f"and {count - _SHOWN} more (all of them: --json)", "", "")
    if kinds:
        console.print(table)
    same = f"{found.compared} values of metrics and the model are the same to the last bit"
    if not kinds:
        said = f"Nothing differs: settings, data, environment, and {same}."
    elif found.same_results:
        said = f"The results are the same, the environment is not: {same}."
    else:
        said = "Differs: " + ", ".join(f"{part} ({count})" for part, count in kinds.items()) + "."
    console.print(Panel(escape(said), title="Findings", title_align="left"))
    console.print(
        f"run           {found.original}\nrepetition    {found.again}   "
        f"(braid ui --workspace {found.workspace})",
        highlight=False,
        soft_wrap=True,
        markup=False,
    )


def show_promotion(console: Console, found: Promotion, challenger: str) -> None:
    """What the rule said, from which evidence, and what became of the alias."""
    evidence = found.evidence
    if evidence is not None and evidence.verdict.checks:
        said = {"recorded": "recorded by its run", "scored": "scored now", "none": ""}[evidence.source]
        table = Table(title=f"{challenger}, {said}")
        for column in evidence.verdict.rows()[0]:
            table.add_column(column, overflow="fold")
        for row in evidence.verdict.rows():
            table.add_row(*map(escape, row.values()))
        console.print(table)
    if found.moved is not None:
        line = f"{challenger} is champion: {found.moved.reason}."
    else:
        reason = evidence.verdict.reason if evidence is not None else ""
        line = f"refused, the champion stays: {reason}. --force does not ask the rule."
    console.print(line, markup=False, highlight=False, soft_wrap=True)


def show_sweep(console: Console, outcome: SweepOutcome) -> None:
    """The ranking of every pipeline, and where to look next."""
    for ranking in outcome.rankings:
        console.print(_ranking_table(ranking, ranking.rows, ranking.pipeline))
        if ranking.matched:
            title = f"{ranking.pipeline} at {ranking.budget} parameters"
            console.print(_ranking_table(ranking, ranking.matched, title))
        lines = [sweep.headline(ranking) + "."]
        lines += [f"{fusion} left out: {reason}" for fusion, reason in ranking.skipped.items()]
        found = outcome.registered.get(ranking.pipeline)
        if found is not None:
            state = "champion" if found["champion"] else "challenger"
            lines.append(
                f"{found['model']['name']} version {found['model']['version']} is {state}: "
                f"{found['promotion']}."
            )
        console.print(Panel(escape("\n".join(lines)), title="Findings", title_align="left"))
    console.print(
        f"{outcome.trials} trials, {sum(outcome.extracted.values())} rows extracted\n"
        f"MLflow run    {outcome.mlflow_run}   (all runs: braid ui)",
        highlight=False,
        soft_wrap=True,
    )


def _ranking_table(ranking: Ranking, rows: Sequence[Row], title: str) -> Table:
    """Narrow enough for 80 columns."""
    over = "seeds" if ranking.interval == "seed" else "rows"
    caption = f"{ranking.metric}, {ranking.confidence:.0%} intervals over {over}; ranked on validation"
    table = Table(title=title, caption=caption, box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("model", no_wrap=True)
    for column in ("val", "test", "interval", f"gain over {ranking.best_single}", "params"):
        table.add_column(column, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(
            escape(row.model),
            f"{row.val:.3f}",
            f"{row.test.value:.3f}",
            f"{row.test.low:.3f}…{row.test.high:.3f}",
            f"{row.gain.value:+.3f} {row.gain.low:+.3f}…{row.gain.high:+.3f}",
            "" if row.parameters is None else str(row.parameters),
            style="bold" if row.kind == "delivered" else "",
        )
    return table


def show_check(console: Console, config: PipelineConfig, dataset: Dataset, device: str) -> None:
    """What a run would use."""
    inputs = Table(title=f"{config.name}: {dataset.rows} usable rows of {dataset.source}")
    for column in ("input", "modality", "columns", "encoder", "missing in"):
        inputs.add_column(column)
    for name, options in config.inputs.items():
        missing = f"{dataset.missing[name]} rows"
        inputs.add_row(name, options.modality, ", ".join(options.columns), options.encoder.name, missing)
    console.print(inputs)
    splits = ", ".join(f"{split} {count}" for split, count in dataset.splits.items())
    console.print(
        f"rows          {splits}\n"
        + "".join(f"{'target':<14}{_described(target)}\n" for target in dataset.targets)
        + f"quarantined   {dataset.quarantined}"
        + (f"  (reasons in {dataset.quarantine})" if dataset.quarantined else "")
        + f"\nfusion        {config.fusion.name}, {config.strategy}\ndevice        {device}",
        highlight=False,
        soft_wrap=True,
        markup=False,
    )


def show_hits(console: Console, hits: Sequence[Hit], wanted: str) -> None:
    """What a search found, the nearest first."""
    targets = list(dict.fromkeys(name for hit in hits for name in hit.targets))
    table = Table()
    table.add_column("", justify="right")
    table.add_column("id", no_wrap=True)
    table.add_column("similarity", justify="right")
    for name in (*targets, wanted):
        table.add_column(escape(name), overflow="fold")
    for place, hit in enumerate(hits, start=1):
        cells = [hit.id, *(hit.targets.get(name, "") for name in targets), hit.shown]
        first, *others = map(escape, cells)
        table.add_row(str(place), first, f"{hit.similarity:.3f}", *others)
    console.print(table)


def _described(target: AnyTarget) -> str:
    if isinstance(target, Regression):
        return f"{target.name}: a number, {target.mean:.4g} ± {target.std:.4g} in the training rows"
    return f"{target.name}: {target.task}, {len(target.classes)}: {', '.join(target.classes)}"


def _row(candidate: CandidateResult, evaluation: Evaluation) -> tuple[str, ...]:
    metric = evaluation.metric
    value = candidate.on_test(metric)
    name = f"delivered ({evaluation.chosen})" if candidate.kind == "delivered" else candidate.name
    return (
        escape(name),
        f"{candidate.on_validation(metric):.3f}",
        f"{value.value:.3f}",
        f"{value.low:.3f} … {value.high:.3f}",
        f"{candidate.on_test('log_loss').value:.3f}",
    )


def _findings(outcome: Outcome) -> list[str]:
    evaluation = outcome.evaluation
    lines = []
    if evaluation.fusion_gain is not None:
        verdict = {
            "yes": "Fusion helps",
            "no": "Fusion does not help",
            "unclear": "Whether fusion helps is unclear",
        }
        lines.append(
            f"{verdict[evaluation.fusion_helps]}: {_signed(evaluation.fusion_gain)} against "
            f"{evaluation.best_single} alone."
        )
    if evaluation.chosen != "fusion" and evaluation.fusion is not None:
        lines.append(
            f"On validation {evaluation.chosen} did better than the fusion, so {evaluation.chosen} is "
            f"delivered: {_signed(evaluation.delivered_gain)} against {evaluation.best_single} alone."
        )
    worst = evaluation.worst_subset
    if worst is not None:
        lines.append(
            f"Worst subset of inputs: {' + '.join(worst.inputs)}, "
            f"{worst.metric.value:.3f} ({-worst.drop:+.3f})."
        )
    lines += balance_warnings(evaluation)
    shares = ", ".join(f"{name} {share:+.3f}" for name, share in evaluation.shapley.items())
    lines.append(f"Shapley shares of {evaluation.metric}: {shares}.")
    if outcome.retrieval is not None:
        lines.append(f"Search: {align.headline(outcome.retrieval)}.")
    extracted = sum(outcome.extracted.values())
    lines.append(f"{extracted} rows extracted" + (": nothing had changed." if extracted == 0 else "."))
    state = outcome.registered.state
    version = outcome.registered.version
    lines.append(f"{version.name} version {version.version} is {state}: {outcome.registered.reason}.")
    return lines


def _signed(gain: Gain) -> str:
    return f"{gain.value:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}]"
