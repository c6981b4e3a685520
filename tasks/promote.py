"""Task: register the model and decide on the champion."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd

from components.data.ingest import Dataset
from components.examples import as_table
from components.promotion import FIRST, Verdict, compare
from components.samples import read_samples
from tasks import registry, tracking
from tasks.context import Context
from tasks.evaluate import Evaluated, headline
from tasks.progress import Progress
from tasks.step import step

_EXAMPLES = 3


@dataclass(frozen=True)
class Registered:
    """What became of the model.

    Attributes:
        version: In the registry.
        champion: Whether it is champion now.
        reason: Why, or why not.
    """

    version: registry.Version
    champion: bool
    reason: str


@step(name="promote", task_run_name="register and promote", tags=["registry"])
def promote_task(context: Context, dataset: Dataset, evaluated: Evaluated) -> Registered:
    """Log and register the model as challenger; make it champion where the rule says so."""
    config, at = context.config, context.tracking
    progress = Progress(context, "promote")
    samples = read_samples(dataset, list(config.inputs), values=True)
    test = samples[samples["split"] == "test"]
    evaluation = evaluated.read()
    progress(0, 3, "logging the model")
    uri = registry.log_model(context, as_table(test.head(_EXAMPLES), config.inputs).reset_index(drop=True))
    progress(1, 3, "registering")
    facts = {
        "run": context.key,
        "dataset_digest": dataset.digest,
        "fusion_helps": evaluation.fusion_helps,
        evaluation.metric: f"{evaluation.headline.value:.4f}",
    }
    version = registry.register(context, uri, headline(evaluation), facts)
    progress(2, 3, "comparing with the champion")
    verdict = _decide(context, dataset, evaluated, version)
    if verdict.promote:
        registry.crown(context, version, verdict.reason)
    else:
        registry.decline(context, version, verdict.reason)
    tracking.set_tags(
        at,
        context.mlflow_run,
        {
            "champion": "yes" if verdict.promote else "no",
            "promotion": verdict.reason,
            "model_version": f"{version.name}/{version.version}",
        },
    )
    if verdict.gain is not None:
        gain = verdict.gain
        tracking.log_metrics(
            at,
            context.mlflow_run,
            {"champion_gain": gain.value, "champion_gain_low": gain.low, "champion_gain_high": gain.high},
        )
    state = "champion" if verdict.promote else "challenger"
    progress.finish(f"{version.name} version {version.version} is {state}: {verdict.reason}")
    return Registered(version, verdict.promote, verdict.reason)


def _decide(context: Context, dataset: Dataset, evaluated: Evaluated, version: registry.Version) -> Verdict:
    champion = registry.champion(context)
    if champion is None:
        return FIRST
    if champion.version == version.version:
        return Verdict(True, "already champion")
    with TemporaryDirectory() as folder:
        bundle = registry.fetch_bundle(context, champion, Path(folder))
        predictions = pd.read_parquet(evaluated.predictions)
        return compare(dataset, predictions, bundle, f"version {champion.version}", context.config)
