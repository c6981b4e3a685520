"""The comparison of ways to do without an input is fair: what is filled, what is left, what is told."""

from __future__ import annotations

import torch

from benchmarks.missing_inputs import Split, ZeroFilled

ROWS = 400
ZEROS = {"image": torch.full((1, 3), -1.0), "words": torch.full((1, 2, 4), -2.0)}


def rows() -> Split:
    generator = torch.Generator().manual_seed(0)
    return Split(
        embeddings={
            "image": torch.rand(ROWS, 3, generator=generator),
            "words": torch.rand(ROWS, 2, 4, generator=generator),
        },
        present=torch.ones(ROWS, 2, dtype=torch.bool),
        left=torch.rand(ROWS, 2, generator=generator) < 0.5,
        values={"label": torch.arange(ROWS)},
    )


def source(rate: float) -> ZeroFilled:
    split = rows()
    return ZeroFilled(split, ZEROS, split.left, rate, torch.device("cpu"))


def test_gaps_hold_zeros_and_the_rest_what_was_there() -> None:
    split = rows()
    batch = source(0.0).batch(torch.arange(ROWS))
    for column, name in enumerate(("image", "words")):
        left = split.left[:, column]
        assert torch.equal(batch.inputs[name][left], split.embeddings[name][left])
        assert torch.equal(
            batch.inputs[name][~left], ZEROS[name].expand(int((~left).sum()), *ZEROS[name].shape[1:])
        )
    assert batch.present.all(), "nobody is told what is absent"


def test_training_hides_more_anew_for_every_batch_and_scoring_does_not() -> None:
    filled, positions = source(0.5), torch.arange(ROWS)
    generator = torch.Generator().manual_seed(1)
    first, second = (filled.batch(positions, generator).inputs["image"][:, 0] < 0 for _ in range(2))
    scored = filled.batch(positions).inputs["image"][:, 0] < 0
    assert torch.equal(scored, ~rows().left[:, 0])
    assert (first & scored).sum() == scored.sum(), "what was gone stays gone"
    assert not torch.equal(first, second)
    hidden = (first & ~scored).sum() / (~scored).sum()
    assert abs(hidden - 0.5) < 0.15  # 4 standard errors of a share of about 200 rows
