"""Cost of very many samples: the arithmetic of docs/results/scale.md.

    python -m benchmarks.scale

Replace the numbers of MEASURED and ASSUMED by others and write the table anew. Core milliseconds per row are
those of benchmarks/extraction.py (preparing + extracting), or of `python -m benchmarks.engines --one-core`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Rates:
    """One modality.

    Attributes:
        prepare, extract: Core milliseconds per row.
        canonical, feature: Bytes per row on disk: length by type, before compression.
    """

    prepare: float
    extract: float
    canonical: float
    feature: float


@dataclass(frozen=True)
class Assumed:
    """Assumptions that are not measured.

    Attributes:
        samples: Number of rows.
        cores: Cores per machine.
        price: Dollars per machine and hour.
        storage: Dollars per terabyte and month.
        share: Share of its time that a core works; the rest is Ray's and waiting.
        hours: Hours in which preprocess and extract shall be done.
    """

    samples: int
    cores: int
    price: float
    storage: float
    share: float
    hours: float


MEASURED = {
    # ViT-S in bf16, JPEGs of 500 × 375. 224 × 224 × 3 bytes, 384 wide
    "image": Rates(3.20, 23.61, 224 * 224 * 3, 384 * 4),
    # MiniLM in bf16, half of the texts below 30 words; at most 128 tokens of 8 bytes, 384 wide
    "text": Rates(0.16, 3.68, 128 * 8, 384 * 4),
    # the small network on log-mel in fp32, 1 to 5 s; a clip of 95 kB, 128 wide
    "audio": Rates(2.31, 3.12, 95_000, 128 * 4),
}
ASSUMED = Assumed(samples=100_000_000, cores=32, price=1.0, storage=23.0, share=0.75, hours=24)


def table(measured: dict[str, Rates], assumed: Assumed) -> str:
    """Hours, machines, storage and cost, by modality."""
    lines = [
        "| input | core hours: preprocess | extract | machines for a day | cost | a million | canonical, TB "
        "| features, TB | storage a month |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, rates in measured.items():
        hours = [assumed.samples * each / 3.6e6 / assumed.share for each in (rates.prepare, rates.extract)]
        canonical, feature = (assumed.samples * each / 1e12 for each in (rates.canonical, rates.feature))
        machine_hours = sum(hours) / assumed.cores
        cost = machine_hours * assumed.price
        cells = [
            name,
            *map(_shown, hours),
            str(math.ceil(machine_hours / assumed.hours)),
            f"${_shown(cost)}",
            f"${_shown(cost / assumed.samples * 1e6)}",
            _shown(canonical),
            _shown(feature),
            f"${_shown((canonical + feature) * assumed.storage)}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _shown(value: float) -> str:
    """Two figures: the rates hold no more."""
    if value < 100:
        return f"{value:.2g}"
    digits = len(str(int(value))) - 2
    return f"{round(value / 10**digits) * 10**digits:,}"


if __name__ == "__main__":
    print(table(MEASURED, ASSUMED))
