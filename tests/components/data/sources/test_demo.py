"""The demo data set: ambiguous by each input alone, clear by all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import soundfile as sf
from PIL import Image
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict
from sklearn.svm import SVC

from components.data.sources.embedded import materialise
from components.storage.digest import digest_file


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return materialise("demo", tmp_path_factory.mktemp("demo") / "demo", seed=0)


def contents(manifest: Path) -> dict[str, str]:
    folder = manifest.parent
    return {str(path.relative_to(folder)): digest_file(path) for path in sorted(folder.rglob("*.*"))}


def test_what_is_there_is_not_made_again(demo: Path) -> None:
    before = demo.stat().st_mtime_ns
    assert materialise("demo", demo.parent, seed=0).stat().st_mtime_ns == before


def test_an_unfinished_folder_is_made_again_and_the_same_seed_gives_the_same_files(
    tmp_path: Path, demo: Path
) -> None:
    (tmp_path / "demo/images").mkdir(parents=True)
    (tmp_path / "demo/manifest.csv").write_text("id\n")
    assert contents(materialise("demo", tmp_path / "demo", seed=0)) == contents(demo)


def test_it_needs_no_network_and_passes_ingest(run: Callable[..., Any], tmp_path: Path) -> None:
    inputs = {
        "image": {"modality": "image", "columns": "image"},
        "audio": {"modality": "audio", "columns": "audio"},
        "clue": {"modality": "text", "columns": "clue"},
    }
    dataset = run("demo", inputs, split={})
    assert dataset.splits == {"train": 1200, "val": 250, "test": 347}
    assert dataset.quarantined == 0
    assert len(dataset.targets.primary.classes) == 10
    assert all(0.03 < count / dataset.rows < 0.07 for count in dataset.missing.values())
    assert (tmp_path / "out/demo/manifest.csv").exists()


def test_each_input_alone_is_ambiguous_and_all_together_are_not(demo: Path) -> None:
    rows = pd.read_csv(demo, dtype=str, keep_default_na=False)
    train, test = (rows.split != "test").to_numpy(), (rows.split == "test").to_numpy()

    def pixels(path: str) -> np.ndarray:
        return (
            np.asarray(Image.open(demo.parent / path).resize((8, 8)), float).ravel() / 255
            if path
            else np.full(64, 0.5)
        )

    def spectrum(path: str) -> np.ndarray:
        if not path:
            return np.zeros(120)
        frames = np.lib.stride_tricks.sliding_window_view(sf.read(demo.parent / path)[0], 512)[::256]
        return np.log(np.abs(np.fft.rfft(frames * np.hanning(512), axis=1)).mean(axis=0)[5:125] + 0.1)

    alone: dict[str, tuple[Any, np.ndarray]] = {
        "image": (SVC(C=10), np.stack([pixels(path) for path in rows.image])),
        "audio": (SVC(C=10), np.stack([spectrum(path) for path in rows.audio])),
        "clue": (
            LogisticRegression(),
            CountVectorizer(ngram_range=(1, 3)).fit_transform(rows.clue).toarray(),
        ),
    }
    known, unknown = [], []
    for name, (model, x) in alone.items():
        model.fit(x[train], rows.label[train])
        assert 0.55 < model.score(x[test], rows.label[test]) < 0.86, name
        method = "decision_function"
        known.append(cross_val_predict(model, x[train], rows.label[train], cv=3, method=method))
        unknown.append(model.decision_function(x[test]))
    fused = LogisticRegression(max_iter=2000).fit(np.hstack(known), rows.label[train])
    assert fused.score(np.hstack(unknown), rows.label[test]) > 0.95
