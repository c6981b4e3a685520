"""Coverage-guided fuzzing with atheris: ``python -m tests.acceptance.bad_input.fuzz TARGET --seconds 60``.

What is covered is braid's
own code and that of Pillow, PyYAML and soundfile as far as it is Python; libjpeg, libsndfile and Arrow are
run, but not steered by. What fails is kept in the folder ``--crashes``.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import warnings
from pathlib import Path

import atheris

INSTRUMENTED = [
    "components.data", "components.preprocess", "components.config", "PIL", "yaml", "soundfile"
]  # fmt: skip
with atheris.instrument_imports(include=INSTRUMENTED):
    from tests.acceptance.bad_input.targets import TARGETS


def fuzz(name: str, seconds: int, crashes: Path) -> None:
    """Fuzz one target until the time is over or something fails; ends the process."""
    warnings.simplefilter("ignore")
    target, seeds = TARGETS[name]
    crashes.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as corpus:
        for number, seed in enumerate(seeds()):
            (Path(corpus) / str(number)).write_bytes(seed)
        options = [
            "-max_len=20000",
            "-timeout=120",
            "-rss_limit_mb=4096",
            f"-artifact_prefix={crashes}/{name}-",
        ]
        atheris.Setup(
            [sys.argv[0], corpus, f"-max_total_time={seconds}", "-print_final_stats=1", *options], target
        )
        atheris.Fuzz()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--crashes", type=Path, default=Path(".braid/fuzz"))
    given = parser.parse_args()
    fuzz(given.target, given.seconds, given.crashes)
