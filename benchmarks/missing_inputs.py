"""Half of the inputs gone at test: a mask against imputed zeros, the zeros also learned from.

    python -m benchmarks.missing_inputs configs/demo.yaml --seeds 0 1 2

Everything has the same encoders, the same fusion (``--fusion``, concat by default) and the same rows with the
same inputs hidden. Compared are

- ``mask``: braid's delivered model, which is told what is absent;
- ``zeros``: the same model, with a black picture, silence, no text and zeros in the gaps;
- ``trained on zeros``: the fusion trained with those in the gaps that the data has and told nothing, the way
  of AutoMM, which has a zero image for a missing one;
- ``trained on more zeros``: the same with further inputs of the training rows hidden, anew in every epoch;
  which of the shares ``RATES`` is decided on validation rows with half of the inputs gone.
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
from components.pipeline.plain import BuiltModel, build_model
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
    """Rows of one split, and which of their inputs are left when half are gone.

    Attributes:
        embeddings: (N, ...) by input.
        present: (N, M) bool, what the data has.
        kept: (N, M) bool, what is left of it.
        values: Of the targets.
    """

    embeddings: Mapping[str, Tensor]
    present: Tensor
    kept: Tensor
    values: Mapping[str, Tensor]


class ZeroFilled(EmbeddingSource):
    """Rows whose gaps are filled; every input counts as there.

    Args:
        split: Rows.
        zeros: What fills a gap, (1, ...) by input.
        there: (N, M) bool: what is not filled.
        rate: Share of the rest that is filled too, drawn anew for every batch of a training.
    """

    def __init__(
        self, split: Split, zeros: Mapping[str, Tensor], there: Tensor, rate: float, device: torch.device
    ) -> None:
        super().__init__(split.embeddings, there, split.values, device)
        self.zeros = {name: value.to(device) for name, value in zeros.items()}
        self.rate = rate

    def batch(self, positions: Tensor, generator: torch.Generator | None = None) -> Batch:
        found = super().batch(positions, generator)
        there = found.present
        if generator is not None:
            there = there & (torch.rand(there.shape, generator=generator) >= self.rate).to(there.device)
        inputs = {
            name: filled(value, self.zeros[name], there[:, column])
            for column, (name, value) in enumerate(sorted(found.inputs.items()))
        }
        return Batch(inputs, torch.ones_like(there), found.targets)


@dataclass(frozen=True)
class Answers:
    """Predictions (N, P) of test rows with half of the inputs gone, by way of filling the gaps."""

    mask: np.ndarray
    zeros: np.ndarray
    trained: np.ndarray
    trained_more: np.ndarray
    rate: float
    values: np.ndarray


def measure(config_file: Path, overrides: Sequence[str], workspace: Path) -> tuple[BuiltModel, Answers]:
    """All of them on one seed."""
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
    every = torch.arange(len(test.kept))
    gaps, full = (
        Embeddings(batch.inputs, batch.inputs, batch.present)
        for batch in (
            EmbeddingSource(test.embeddings, test.kept, test.values, device).batch(every),
            ZeroFilled(test, zeros, test.kept, 0.0, device).batch(every),
        )
    )

    def predictions(natural: Tensor) -> np.ndarray:
        return target.predict(natural[:, dataset.targets.slices[target.name]].double()).numpy()

    _, as_it_is = _trained(parts, splits, zeros, 0.0, device)
    sign = 1 if higher_is_better(target.metric) else -1
    found = {rate: _trained(parts, splits, zeros, rate, device) for rate in RATES}
    rate = max(found, key=lambda rate: sign * found[rate][0])
    return parts, Answers(
        mask=model.predict(target, gaps, names).numpy(),
        zeros=model.predict(target, full, names).numpy(),
        trained=predictions(as_it_is),
        trained_more=predictions(found[rate][1]),
        rate=rate,
        values=test.values[target.name].numpy(),
    )


def _split(parts: BuiltModel, split: str, names: tuple[str, ...]) -> Split:
    opened = open_split(parts.dataset, split, parts.features, None)
    known = known_rows(opened.values[parts.dataset.targets.primary.name])
    chances = draws(opened.samples["id"].astype(str).tolist(), names, seed_of(parts.config.seed, "gone"))
    there = opened.embeddings.present
    return Split(
        {name: value[known] for name, value in opened.embeddings.single.items()},
        there[known],
        (there & torch.from_numpy(chances >= GONE))[known],
        {name: value[known] for name, value in opened.values.items()},
    )


def _trained(
    parts: BuiltModel,
    splits: Mapping[str, Split],
    zeros: Mapping[str, Tensor],
    rate: float,
    device: torch.device,
) -> tuple[float, Tensor]:
    """Best validation metric, and natural parameters of the test rows, of a fusion trained on zeros."""
    config, targets = parts.config, parts.dataset.targets
    seed = seed_of(config.seed, "fusion")
    torch.manual_seed(seed)
    widths = {name: feature.encoder.width for name, feature in parts.features.items()}
    network = Fused(build_fusion(config.fusion, widths, targets), targets)
    train = ZeroFilled(splits["train"], zeros, splits["train"].present, rate, device)
    val, test = (
        ZeroFilled(splits[split], zeros, splits[split].kept, 0.0, device) for split in ("val", "test")
    )
    objective = Supervised(targets, config.training, train.targets)
    with TemporaryDirectory() as folder:  # seconds of work: it is done anew rather than kept by a key
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


def report(found: Sequence[Answers], parts: Sequence[BuiltModel], command: str) -> str:
    """Markdown: one row a seed, means with Student's t interval over seeds, paired gains."""
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
    for answers, part in zip(found, parts, strict=True):
        for way, values in ways.items():
            values.append(metric(target, name, answers.values, getattr(answers, way)))
        row = [f"{ways[way][-1]:.3f}" for way in ways]
        lines.append(f"| {part.config.seed} | {' | '.join(row)} ({answers.rate:g}) |")
    lines.append(f"| mean | {' | '.join(_mean(values) for values in ways.values())} |")
    for way, said in WAYS.items():
        gain = mean_gain([Rivals(target, each.values, each.mask, getattr(each, way)) for each in found], name)
        lines.append("")
        lines.append(
            f"Gain of the mask over {said}: "
            f"{gain.value:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}] {name}, paired over "
            f"{len(found[0].values)} test rows."
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
    found, parts = [], []
    for seed in given.seeds:
        overrides = [f"fusion.name={given.fusion}", f"seed={seed}"]
        part, answers = measure(given.config, overrides, given.workspace.resolve())
        found.append(answers)
        parts.append(part)
    seeds = " ".join(map(str, given.seeds))
    fusion = "" if given.fusion == "concat" else f" --fusion {given.fusion}"
    print(report(found, parts, f"python -m benchmarks.missing_inputs {given.config} --seeds {seeds}{fusion}"))


if __name__ == "__main__":
    main()
