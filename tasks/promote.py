"""Task: register the model and decide on the champion."""

import math
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from pydantic import TypeAdapter

from components.config import PipelineConfig, TrackingConfig
from components.data.examples import as_table, with_content
from components.data.samples import open_samples_table
from components.errors import ModelError
from components.evaluation.results import Evaluation
from components.inference.bundle import bundle_bytes
from components.promotion.compare import FIRST, Rival, compare
from components.promotion.verdict import Verdict
from components.references import Dataset, Missing
from components.robustness.results import Robustness
from tasks.artifacts import log_result, optional, show_page
from tasks.context import Context, data_folder
from tasks.evaluate import Evaluated
from tasks.progress import Progress
from tasks.step import step
from tasks.tracking import champions, descriptions, registry, runs

_EXAMPLES = 3
EVIDENCE, RECIPE, ROBUSTNESS = "promotion.json", "promotion-recipe.json", "robustness.json"


@dataclass(frozen=True)
class Registered:
    """Registered model and the decision on it.

    Attributes:
        version: Version in the registry.
        champion: True if the model is champion now.
        reason: Reason for the decision.
        verdict: Verdict with every check.
        alias: Alias of the model; None where none was moved to it.
    """

    version: registry.Version
    champion: bool
    reason: str
    verdict: Verdict
    alias: str | None

    @property
    def state(self) -> str:
        """Alias, or that there is none, in words."""
        return self.alias or "left without an alias"

    @property
    def sentence(self) -> str:
        """The decision for people."""
        return f"{self.version.name} version {self.version.version} is {self.state}: {self.reason}."

    @property
    def uri(self) -> str:
        """URI by the alias, or by the version without one."""
        return f"models:/{self.version.name}@{self.alias}" if self.alias else self.version.uri


@dataclass(frozen=True)
class Recipe:
    """Record from which a comparison is repeated.

    Attributes:
        dataset: Reference to the samples, in the workspace of the run.
        config: The pipeline.
        unmeasured: Failure of the measurement of robustness; None where it went well or was not asked for.
        base: Folder of the pipeline file.
    """

    dataset: Dataset
    config: PipelineConfig
    unmeasured: str | None = None
    base: Path = Path()


@dataclass(frozen=True)
class Evidence:
    """A verdict and its source.

    Attributes:
        verdict: Verdict against the present champion.
        source: ``recorded`` by the version's run, ``scored`` anew, or ``none`` without a rival.
    """

    verdict: Verdict
    source: Literal["recorded", "scored", "none"]


@dataclass(frozen=True)
class Promotion:
    """Result of ``braid promote``.

    Attributes:
        moved: Move of the alias; None where the rule refused.
        evidence: Evidence of the rule; None where the promotion was forced.
    """

    moved: champions.Moved | None
    evidence: Evidence | None


@step(name="promote", task_run_name="register and promote", tags=["registry"])
def promote_task(
    context: Context, dataset: Dataset, evaluated: Evaluated, robustness: Missing | None = None
) -> Registered:
    """Log and register the model as challenger; make it champion where the rule says so.

    Args:
        context: The run.
        dataset: Reference to the samples.
        evaluated: Reference to the evaluation of the model.
        robustness: Failure of its measurement; None where it went well or was not asked for.
    """
    config, at = context.config, context.tracking
    dry = config.promotion.mode == "dry_run"
    progress = Progress(context, "promote")
    test = open_samples_table(dataset).split("test", list(config.inputs), values=True)
    evaluation = evaluated.read()
    progress(0, 3, "logging the model")
    example = with_content(as_table(test.head(_EXAMPLES), config.inputs), config.inputs)
    uri = registry.log_model(context, example.reset_index(drop=True))
    progress(1, 3, "registering")
    facts = {
        "run": context.key,
        "dataset_digest": dataset.digest,
        "fusion_helps": evaluation.fusion_helps,
        "delivered": evaluation.chosen,
        runs.METRIC_TAG: evaluation.metric,
        runs.SIZE_TAG: str(bundle_bytes(context.bundle)),
        **_figures(evaluation),
    }
    about = descriptions.of_model(config, dataset)
    version = registry.register(context, uri, about, evaluation.headline, facts, challenge=not dry)
    runs.set_tags(at, context.mlflow_run, {runs.VERSION_TAG: f"{version.name}/{version.version}"})
    recipe = Recipe(dataset, config, None if robustness is None else str(robustness), context.base)
    written = TypeAdapter(Recipe).dump_json(recipe).decode("utf-8", "surrogatepass")
    runs.log_text(at, context.mlflow_run, written, RECIPE)
    progress(2, 3, "comparing with the champion")
    verdict = champions.settle(
        at,
        context.workspace,
        version,
        lambda champion: _decide(at, context.workspace, recipe, version, champion, context.bundle),
        move=not dry,
    )
    crowned = verdict.promote and not dry
    reason = verdict.reason
    if dry:
        reason = f"dry run, {'would become' if verdict.promote else 'would not become'} champion: {reason}"
    _record(context, version, verdict, f"{evaluation.headline}.", reason, crowned)
    alias = registry.CHAMPION if crowned else None if dry else registry.CHALLENGER
    registered = Registered(version, crowned, reason, verdict, alias)
    progress.finish(registered.sentence.removesuffix("."))
    return registered


def promote_version(
    at: TrackingConfig, workspace: Path, name: str, number: str, force: bool = False, why: str = ""
) -> Promotion:
    """Make a registered version champion where the rule of its run says so, or by force without the rule.

    Args:
        at: Address of MLflow.
        workspace: Folder of the lock and of fetched models.
        name: Name of the registered model.
        number: Number of the version.
        force: Promote without the rule.
        why: Reason for the record.

    Raises:
        ModelError: If there is no such version, or the rule cannot be applied.
    """
    past = champions.history(at, name)
    version = registry.find(at, f"models:/{name}/{number}")
    if version is None:
        known = ", ".join(registry.versions(at, name)) or "none"
        raise ModelError(
            f"{name} has no version {number!r} (versions: {known}; champions so far: "
            f"{', '.join(past) or 'none'})"
        )
    if force:
        return Promotion(champions.crown(at, workspace, version, f"forced: {why}" if why else "forced"), None)
    before: registry.Version | None = None
    grounds: Evidence | None = None

    def decide(champion: registry.Version | None) -> Verdict:
        nonlocal before, grounds
        before, grounds = champion, evidence(at, workspace, version, champion)
        return grounds.verdict

    verdict = champions.settle(at, workspace, version, decide, why=why)
    if not verdict.promote:
        return Promotion(None, grounds)
    moved = champions.Moved(name, before.version if before else None, version.version, verdict.reason)
    return Promotion(moved, grounds)


def evidence(
    at: TrackingConfig, workspace: Path, version: registry.Version, champion: registry.Version | None
) -> Evidence:
    """Apply the rule of a version's own run to it and a champion.

    A record of the run against the same champion is used. Otherwise both are scored anew on the run's test
    rows, which have to be in reach. Robustness is always that which the two runs recorded.

    Args:
        at: Address of MLflow.
        workspace: Folder of fetched models.
        version: Candidate for champion.
        champion: Present champion; None if there is none.

    Raises:
        ModelError: If there is no record and the models cannot be scored here.
    """
    if champion is None:
        return Evidence(FIRST, "none")
    if champion == version:
        return Evidence(Verdict(True, "already champion", champion=champion.label), "none")
    recorded = runs.read_text(at, version.run, EVIDENCE)
    if recorded is not None:
        verdict = Verdict.from_json(recorded)
        if verdict.champion == champion.label:
            return Evidence(verdict, "recorded")
    written = runs.read_text(at, version.run, RECIPE)
    recipe = None if written is None else TypeAdapter(Recipe).validate_json(written)
    if recipe is None or not Path(recipe.dataset.samples).exists():
        what = "its run recorded no recipe" if recipe is None else f"{recipe.dataset.samples} is not here"
        raise ModelError(
            f"{version.uri}: its run was not compared with {champion.label}, and cannot be now: {what}. "
            "Run the pipeline again, or decide without the rule: --force."
        )
    own = registry.cached_bundle(at, version.uri, workspace / "models")
    return Evidence(_decide(at, workspace, recipe, version, champion, own), "scored")


def _decide(
    at: TrackingConfig,
    workspace: Path,
    recipe: Recipe,
    version: registry.Version,
    champion: registry.Version | None,
    bundle: Path,
) -> Verdict:
    if champion is None:
        return FIRST
    if champion == version:
        return Verdict(True, "already champion", champion=champion.label)
    spent = champions.budget(at, version.name)
    with TemporaryDirectory() as folder:
        verdict = compare(
            recipe.dataset,
            Rival(bundle, version.label, _robustness(at, version), recipe.unmeasured),
            Rival(
                registry.download_bundle(at, champion.uri, Path(folder)),
                champion.label,
                _robustness(at, champion),
            ),
            recipe.config,
            data_folder(workspace, recipe.config),
            recipe.base,
            spent,
        )
    if verdict.budget is not None and verdict.budget != spent:
        champions.record_budget(at, version.name, verdict.budget)
    return verdict


def _figures(evaluation: Evaluation) -> dict[str, str]:
    """Collect the deciding figures as tags of the version, named like the run's metrics."""
    gain, test = evaluation.delivered_gain, evaluation.score
    values = {
        evaluation.metric: test.value,
        f"test_{evaluation.metric}_low": test.low,
        f"test_{evaluation.metric}_high": test.high,
        "delivered_gain": gain.value,
        "delivered_gain_low": gain.low,
        "calibration_error_after": evaluation.calibration.error_after,
    }
    return {name: f"{value:.4f}" for name, value in values.items() if math.isfinite(value)}


def _record(
    context: Context,
    version: registry.Version,
    verdict: Verdict,
    result: str,
    reason: str,
    crowned: bool,
) -> None:
    at, run = context.tracking, context.mlflow_run
    client = runs.connect(at)
    tags = {
        "promotion": reason,
        **{f"promotion.{check.name.replace(' ', '_')}": check.answer for check in verdict.checks},
    }
    if verdict.budget is not None:
        tags["promotion.budget"] = verdict.budget.sentence
    for name, value in tags.items():
        client.set_model_version_tag(version.name, version.version, name, value)
    decision = f"{'Champion' if crowned else 'Not champion'} when its run ended: {reason}"
    client.update_model_version(version.name, version.version, f"{result}\n\n{decision}")
    runs.set_tags(at, run, tags)
    if not crowned:  # as champions.py tags the runs of the present and the former champion
        known = runs.get_run(at, run).data.tags.get(runs.CHAMPION_TAG)
        runs.set_tags(at, run, {runs.CHAMPION_TAG: known or "no"})
    runs.log_text(at, run, verdict.to_json(), EVIDENCE)
    with optional(context, "record of the promotion"):  # the alias may have moved
        log_result(context, replace(verdict, reason=decision))
        if not verdict.checks:
            show_page("promotion", f"{decision}.")


def _robustness(at: TrackingConfig, version: registry.Version) -> Robustness | None:
    recorded = runs.read_text(at, version.run, ROBUSTNESS)
    return None if recorded is None else Robustness.from_json(recorded)
