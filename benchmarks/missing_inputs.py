"""Half of the inputs gone at test: a mask against imputed zeros, the zeros also learned from.

    python -m benchmarks.missing_inputs configs/demo.yaml --seeds 0 1 2

All ways have the same encoders, the same fusion (``--fusion``, concat by default) and the same rows with the
same inputs hidden. They are

- ``mask``: braid's delivered model, with the mask of absent inputs;
- ``zeros``: the same model, with a black image, silence, no text and zeros in the gaps;
- ``trained on zeros``: the fusion trained with zeros in the gaps of the data and without a mask, as AutoMM
  does with a zero image;
- ``trained on more zeros``: the same with further inputs of the training rows hidden, anew in every epoch;
  the share, one of ``RATES``, is selected on validation rows with half of the inputs gone.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from torch import Tensor

from benchmarks.machine import machine
from components.config.load import load_pipeline
from components.evaluation.bootstrap import Rivals, mean_gain
from components.evaluation.intervals import t_interval
from components.inference.ensemble import Embeddings
from components.inference.predictor import Predictor
from components.models.fusion import build_fusion
from components.models.networks import Batch, Fused
from components.objectives import Supervised
from components.pipeline.package import open_split
from components.pipeline.run import BuiltModel, build_model
from components.robustness.missing import draws, filled, zero_parts
from components.runtime.device import choose_device
from components.seeding import seed_of
from components.targets import known_rows
from components.targets.metrics import higher_is_better, metric
from components.training.batches import EmbeddingSource
from components.training.loop import best_epoch, predict
from components.training.loop import train as fit_network

GONE = 0.5
RATES = (0.25, 0.5)
WAYS = {
    "zeros": "zeros",
    "trained": "training on zeros",
    "trained_more": "training on more zeros",
}


@dataclass(frozen=True)
class Split:
    """Rows of one split, and their inputs that are left when half are gone.

    Attributes:
        embeddings: (N, ...) by input.
        present: (N, M) bool, inputs that the data has.
        left: (N, M) bool, inputs that are not hidden.
        values: Encoded targets.
    """

    embeddings: Mapping[str, Tensor]
    present: Tensor
    left: Tensor
    values: Mapping[str, Tensor]


class ZeroFilled(EmbeddingSource):
    """Rows whose gaps are filled; every input counts as present.

    Args:
        split: Rows.
        zeros: (1, ...) filling of a gap, by input.
        present: (N, M) bool: inputs that are not filled.
        rate: Share of those that is filled too, drawn anew for every batch of a training.
    """

    def __init__(
        self, split: Split, zeros: Mapping[str, Tensor], present: Tensor, rate: float, device: torch.device
    ) -> None:
        super().__init__(split.embeddings, present, split.values, device)
        self.zeros = {name: value.to(device) for name, value in zeros.items()}
        self.rate = rate

    def batch(self, positions: Tensor, generator: torch.Generator | None = None) -> Batch:
        batch = super().batch(positions, generator)
        left = batch.present
        if generator is not None:
            left = left & (torch.rand(left.shape, generator=generator) >= self.rate).to(left.device)
        inputs = {
            name: filled(value, self.zeros[name], left[:, column])
            for column, (name, value) in enumerate(sorted(batch.inputs.items()))
        }
        return Batch(inputs, torch.ones_like(left), batch.targets)


@dataclass(frozen=True)
class Predictions:
    """Predictions (N, P) of test rows with half of the inputs gone, by way of filling the gaps."""

    mask: np.ndarray
    zeros: np.ndarray
    trained: np.ndarray
    trained_more: np.ndarray
    rate: float
    values: np.ndarray


def measure(config_file: Path, overrides: Sequence[str], workspace: Path) -> tuple[BuiltModel, Predictions]:
    """Measure all ways on one seed."""
    config = load_pipeline(config_file, overrides)
    parts = build_model(
        config,
        workspace,
        config_file.resolve().parent,
        data=f"data/{config.name}",
        bundle=f"benchmarks/{config.name}-{config.fusion.name}-{config.seed}",
    )
    dataset, features = parts.dataset, parts.features
    device = choose_device(config.engine.device)
    names = tuple(sorted(features))
    predictor = Predictor(parts.bundle, config.engine.device)
    zeros = {name: part.fusion[0:1].cpu() for name, part in zero_parts(predictor).items()}
    splits = {split: _split(parts, split, names) for split in ("train", "val", "test")}
    test, target = splits["test"], dataset.targets.primary

    model = predictor.bundle.delivered
    every = torch.arange(len(test.left))
    gaps, full = (
        Embeddings(batch.inputs, batch.inputs, batch.present)
        for batch in (
            EmbeddingSource(test.embeddings, test.left, test.values, device).batch(every),
            ZeroFilled(test, zeros, test.left, 0.0, device).batch(every),
        )
    )

    def predictions(natural: Tensor) -> np.ndarray:
        return target.predict(natural[:, dataset.targets.slices[target.name]].double()).numpy()

    _, as_it_is = _trained(parts, splits, zeros, 0.0, device)
    sign = 1 if higher_is_better(target.metric) else -1
    by_rate = {rate: _trained(parts, splits, zeros, rate, device) for rate in RATES}
    rate = max(by_rate, key=lambda rate: sign * by_rate[rate][0])
    return parts, Predictions(
        mask=model.predict(target, gaps, names).numpy(),
        zeros=model.predict(target, full, names).numpy(),
        trained=predictions(as_it_is),
        trained_more=predictions(by_rate[rate][1]),
        rate=rate,
        values=test.values[target.name].numpy(),
    )


def _split(parts: BuiltModel, split: str, names: tuple[str, ...]) -> Split:
    rows = open_split(parts.dataset, split, parts.features, None)
    known = known_rows(rows.values[parts.dataset.targets.primary.name])
    chances = draws(rows.samples["id"].astype(str).tolist(), names, seed_of(parts.config.seed, "gone"))
    present = rows.embeddings.present
    return Split(
        {name: value[known] for name, value in rows.embeddings.single.items()},
        present[known],
        (present & torch.from_numpy(chances >= GONE))[known],
        {name: value[known] for name, value in rows.values.items()},
    )


def _trained(
    parts: BuiltModel,
    splits: Mapping[str, Split],
    zeros: Mapping[str, Tensor],
    rate: float,
    device: torch.device,
) -> tuple[float, Tensor]:
    """Train a fusion on zeros; its best validation metric, and natural parameters of the test rows."""
    config, targets = parts.config, parts.dataset.targets
    seed = seed_of(config.seed, "fusion")
    torch.manual_seed(seed)
    widths = {name: feature.encoder.width for name, feature in parts.features.items()}
    network = Fused(build_fusion(config.fusion, widths, targets), targets)
    train = ZeroFilled(splits["train"], zeros, splits["train"].present, rate, device)
    val, test = (
        ZeroFilled(splits[split], zeros, splits[split].left, 0.0, device) for split in ("val", "test")
    )
    objective = Supervised(targets, config.training, train.targets)
    with TemporaryDirectory() as folder:  # as seconds of work need no cache
        history = list(
            fit_network(
                network,
                objective,
                train,
                val,
                config.training,
                seed=seed,
                folder=Path(folder),
                device=device,
            )
        )
    natural = predict(network, test, config.training.batch_size, config.training.precision, device)
    return best_epoch(history, objective.metric).metric, natural


def report(results: Sequence[Predictions], parts: Sequence[BuiltModel], command: str) -> str:
    """Write Markdown: one row per seed, means with Student's t interval over seeds, paired gains."""
    target = parts[0].dataset.targets.primary
    name = target.metric
    lines = [
        f"`{command}`  ",
        f"{machine()}",
        "",
        "| seed | mask | zeros | trained on zeros | trained on more zeros (share) |",
        "|---|---|---|---|---|",
    ]
    ways: dict[str, list[float]] = {"mask": [], **{way: [] for way in WAYS}}
    for predictions, part in zip(results, parts, strict=True):
        for way, values in ways.items():
            values.append(metric(target, name, predictions.values, getattr(predictions, way)))
        row = [f"{ways[way][-1]:.3f}" for way in ways]
        lines.append(f"| {part.config.seed} | {' | '.join(row)} ({predictions.rate:g}) |")
    lines.append(f"| mean | {' | '.join(_mean(values) for values in ways.values())} |")
    for way, shown in WAYS.items():
        rivals = [Rivals(target, each.values, each.mask, getattr(each, way)) for each in results]
        gain = mean_gain(rivals, name)
        lines.append("")
        lines.append(
            f"Gain of the mask over {shown}: "
            f"{gain.value:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}] {name}, paired over "
            f"{len(results[0].values)} test rows."
        )
    return "\n".join(lines)


def _mean(values: Sequence[float]) -> str:
    if len(values) < 2:
        return f"{values[0]:.3f}"
    mean = t_interval(values, 0.95)
    return f"{mean.value:.3f} ± {mean.high - mean.value:.3f}"


def main() -> None:
    """Measure every seed and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--fusion", default="concat")
    parser.add_argument("--workspace", type=Path, default=Path(".braid"))
    given = parser.parse_args()
    results, parts = [], []
    for seed in given.seeds:
        overrides = [f"fusion.name={given.fusion}", f"seed={seed}"]
        part, predictions = measure(given.config, overrides, given.workspace.resolve())
        results.append(predictions)
        parts.append(part)
    seeds = " ".join(map(str, given.seeds))
    fusion = "" if given.fusion == "concat" else f" --fusion {given.fusion}"
    print(
        report(results, parts, f"python -m benchmarks.missing_inputs {given.config} --seeds {seeds}{fusion}")
    )


if __name__ == "__main__":
    main()
