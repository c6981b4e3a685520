"""Inputs with several columns, any cell of which may be empty: which column decides, and where in it."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from components.explanations import EXPLAINERS, Score
from components.explanations.explain import explain_samples
from components.explanations.figures import explanation_figures
from components.explanations.results import Explanations
from components.pipeline.evaluate import ModelEvaluation, evaluate_model
from components.pipeline.run import BuiltModel, build_model
from components.preprocess.image import ImagePreprocessor
from components.preprocess.pcm import each_packed, unpack
from components.preprocess.several import SeveralPreprocessor
from components.report.content import DataSummary, Report
from components.report.page import render_report
from tests.components.conftest import configure
from tests.components.explanations.test_explain import RATE, has, listener, ngrams, picture, sound

VIEWS = SeveralPreprocessor(ImagePreprocessor(32, "stretch"), "mean")
CALLS = SeveralPreprocessor(listener(), "mean")
COLUMNS = {
    "views": ["front", "back", "side"],
    "calls": ["first", "second"],
    "notes": ["title", "text"],
    "facts": ["age", "city"],
}


def bright_or_loud(array: np.ndarray) -> float:
    """Bright pixels of all images of a row, or energy of all its audio."""
    if array.ndim == 4:
        return float((array > 200).sum())
    return float(sum(np.square(unpack(packed)).sum() for packed in each_packed(array)))


def score(arrays: Sequence[np.ndarray | None]) -> np.ndarray:
    return np.array([0.0 if array is None else bright_or_loud(array) for array in arrays])


def dark() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (32, 32), "black").save(file, "PNG")
    return file.getvalue()


class TestImages:
    def test_the_column_and_the_region_that_decide_are_found(self) -> None:
        bright = picture((1, 0))
        cells = {"front": dark(), "back": None, "side": bright, "top": dark()}
        inside = EXPLAINERS["image"](score, VIEWS, cells, 64)
        assert [heatmap.column for heatmap in inside.heatmaps] == ["front", "side", "top"]
        assert inside.missing == ("back",)
        assert inside.several
        front, side, top = inside.heatmaps
        assert np.array(side.grid).shape == (4, 4), "64 regions divided among three images: 16 at most each"
        assert np.unravel_index(np.argmax(side.grid), (4, 4)) == (3, 0)
        assert side.effect == score([VIEWS.canonical([bright])])[0]
        assert front.effect == top.effect == front.strongest == top.strongest == 0
        assert inside.strongest == side.strongest > 0

    def test_the_only_image_of_a_row_is_explained_like_one_of_one_column(self) -> None:
        inside = EXPLAINERS["image"](score, VIEWS, {"front": None, "back": picture((0, 1))}, 64)
        alone = EXPLAINERS["image"](score_of_one, VIEWS.each, {"back": picture((0, 1))}, 64)
        assert inside.heatmaps == alone.heatmaps
        assert (inside.missing, inside.several) == (("front",), True)

    def test_many_columns_leave_one_region_each(self) -> None:
        inside = EXPLAINERS["image"](score, VIEWS, {f"v{i}": picture((0, 0)) for i in range(17)}, 16)
        assert {np.array(heatmap.grid).shape for heatmap in inside.heatmaps} == {(1, 1)}


def score_of_one(arrays: Sequence[np.ndarray | None]) -> np.ndarray:
    return score([None if array is None else array[None] for array in arrays])


class TestSounds:
    def test_the_column_the_stretch_and_the_band_that_decide_are_found(self) -> None:
        cells = {"first": sound(0.3, 1000, 0.5), "second": None, "third": sound(9, 0, 1.0)}  # a tone, a hiss
        inside = EXPLAINERS["audio"](score, CALLS, cells, 64)
        assert ([heatmap.column for heatmap in inside.heatmaps], inside.missing) == (
            ["first", "third"],
            ("second",),
        )
        tone, hiss = inside.heatmaps
        assert (tone.seconds, hiss.seconds, tone.hertz) == (0.5, 1.0, RATE / 2)
        grid = np.array(tone.grid)
        assert grid.shape == (2, 16)
        stretch = (grid.sum(0).argmax() + 0.5) / 16 * 0.5
        assert 0.3 <= stretch <= 0.4
        assert tone.effect > 20 * abs(hiss.effect)
        assert tone.strongest > 20 * abs(hiss.strongest)


class TestTexts:
    @pytest.mark.parametrize(
        "cells",
        [
            {"title": "about honey", "text": "sweet it is"},
            {"title": None, "text": "about honey"},
            {"title": "honey", "text": None},
        ],
    )
    def test_a_word_of_any_column_is_found(self, cells: dict[str, Any]) -> None:
        preprocessor = ngrams()
        given: Score = has(preprocessor, "honey")
        inside = EXPLAINERS["text"](given, preprocessor, cells, 64)
        assert {part.text: part.effect for part in inside.effects if part.effect} == {
            "honey": pytest.approx(4.0)
        }
        shown = "".join(part.text for part in inside.effects)
        assert shown == "\n".join(cell for cell in cells.values() if cell)


def write_rows(folder: Path) -> None:
    """48 rows with four inputs, of which single cells and whole inputs are empty."""
    rng = np.random.default_rng(0)
    with (folder / "rows.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(
            ["id", "split", "label", *(column for columns in COLUMNS.values() for column in columns)]
        )
        for row in range(48):
            cells: list[Any] = []
            for column in COLUMNS["views"]:
                (folder / f"{row}{column}.png").write_bytes(picture((row % 2, int(rng.integers(2)))))
                cells.append("" if rng.random() < 0.4 else f"{row}{column}.png")
            for column in COLUMNS["calls"]:
                (folder / f"{row}{column}.wav").write_bytes(sound(0.1, 300 + 900 * (row % 2) + row, 0.3))
                cells.append("" if rng.random() < 0.4 else f"{row}{column}.wav")
            cells += ["" if rng.random() < 0.3 else f"number {row}", ["dog", "bird"][row % 2]]
            cells += [20 + 10 * (row % 2), "" if rng.random() < 0.4 else "Ulm"]
            writer.writerow([row, ["train", "val", "test"][row // 2 % 3], "ab"[row % 2], *cells])


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> BuiltModel:
    folder = tmp_path_factory.mktemp("several")
    write_rows(folder)
    fit = {"epochs": 1}
    encoders: dict[str, dict[str, Any]] = {
        "views": {"modality": "image", "size": 16, "encoder": {"name": "cnn", "width": 8, "channels": [4]}},
        "calls": {"modality": "audio", "rate": RATE, "encoder": {"name": "audio_cnn", "width": 8}},
        "notes": {"modality": "text", "encoder": {"name": "ngrams", "width": 8, "buckets": 512}},
        "facts": {"modality": "tabular", "encoder": {"name": "mlp", "width": 8, "hidden": [8]}},
    }
    inputs = {name: {**values, "columns": COLUMNS[name], "fit": fit} for name, values in encoders.items()}
    config = configure(
        inputs=inputs, evaluation={"bootstrap": 100, "explanations": {"samples": 4, "detail": 16}}
    )
    return build_model(config, tmp_path_factory.mktemp("several-built"), folder)


@pytest.fixture(scope="module")
def evaluated(built: BuiltModel) -> ModelEvaluation:
    return evaluate_model(
        built.dataset, built.selection, built.features, built.fused, built.bundle, built.config
    )


@pytest.fixture(scope="module")
def explanations(built: BuiltModel, evaluated: ModelEvaluation) -> Explanations:
    return explain_samples(built.dataset, built.bundle, evaluated.predictions, built.config)


class TestRun:
    def test_every_modality_is_explained_column_by_column(self, explanations: Explanations) -> None:
        assert len(explanations.samples) > 4
        missing: dict[str, list[int]] = {"views": [], "calls": []}
        for sample in explanations.samples:
            for name, counts in missing.items():
                if name in sample.inside:
                    inside = sample.inside[name]
                    columns = [heatmap.column for heatmap in inside.heatmaps]
                    assert sorted([*columns, *inside.missing]) == sorted(COLUMNS[name])
                    counts.append(len(inside.missing))
                    if len(columns) == 1:
                        assert inside.heatmaps[0].effect == pytest.approx(sample.without[name])
            if "facts" in sample.inside:
                assert [part.name for part in sample.inside["facts"].effects] == COLUMNS["facts"]
        assert len(set(missing["views"])) > 1, "rows with and without missing cells"
        assert len(set(missing["calls"])) > 1

    def test_figures_and_the_report_show_every_image_and_sound(
        self, explanations: Explanations, evaluated: ModelEvaluation
    ) -> None:
        heatmaps = [
            len(inside.heatmaps) for sample in explanations.samples for inside in sample.inside.values()
        ]
        missing = [
            len(inside.missing) for sample in explanations.samples for inside in sample.inside.values()
        ]
        report = Report(
            title="several",
            created="2026-11-24 01:00 UTC",
            evaluation=evaluated.evaluations[0],
            data=DataSummary(source="rows.csv", digest="9f31", splits={"test": 16}),
            explanations=explanations,
        )
        html = render_report(report)
        assert html.count('<div class="heatmap">') == sum(heatmaps)
        assert (
            sum(html.count(f'<span class="wrap">{column}</span> missing') for column in ["front", "first"])
            > 0
        )
        assert html.count("</span> missing</div>") == sum(missing)
        figures = explanation_figures(explanations)
        for sample, figure in zip(explanations.samples, figures.values(), strict=True):
            panels = 1 + sum(len(inside.heatmaps) or 1 for inside in sample.inside.values())
            assert len(figure.axes) == panels
            figure.savefig(io.BytesIO(), format="png")
