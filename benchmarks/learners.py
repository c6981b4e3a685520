"""Encoders without gradient, each alone, against the plain models of scikit-learn on the same rows.

Run ``python -m benchmarks.learners``, with names of :data:`SETS` or none for all. Hyper-parameters of both
are chosen on validation; test is scored once.
"""

import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_diabetes
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import LinearSVC

from components.config import PipelineConfig
from components.data.samples import load_embeddings, open_samples_table
from components.models.weights import read_tensors
from components.pipeline.learners import learners_of
from components.pipeline.plain import PlainSteps
from components.targets import Head, metric

SHARED = Path(__file__).parents[2] / "shared" / "data"
CODES = ["first_decorator"]
FACTS = [
    "n_args",
    "n_defaults",
    "varargs",
    "annotated",
    "decorators",
    "method",
    "depth",
    "lines",
    "doc_lines",
    "doc_chars",
    "nodes",
    "calls",
    "loops",
    "ifs",
    "returns",
    "raises",
    "is_async",
]
NUMBERS = list(load_diabetes().feature_names)
# name: (manifest, target, metric, modality, columns, encoders)
SETS: dict[str, tuple[str, str, str, str, list[str], list[str]]] = {
    "emoji": ("emoji/manifest.csv", "group", "accuracy", "text", ["keywords"], ["tfidf", "ngrams"]),
    "docs-text": ("docs/manifest.csv", "package", "accuracy", "text", ["doc"], ["tfidf", "ngrams"]),
    "docs-facts": (
        "docs/manifest.csv", "package", "accuracy", "tabular", FACTS + CODES, ["trees", "linear", "mlp"],
    ),
    "homes": ("", "price", "r2", "tabular", ["size", "rooms", "age", "area"], ["trees", "linear", "mlp"]),
    "diabetes": ("", "target", "r2", "tabular", NUMBERS, ["trees", "linear", "mlp"]),
}  # fmt: skip


def diabetes(folder: Path) -> Path:
    """Write scikit-learn's diabetes data, 442 rows, with a split drawn by seed 0."""
    table = load_diabetes(as_frame=True, scaled=False).frame
    draw = np.random.default_rng(0).permutation(len(table))
    table["split"] = np.where(draw < 250, "train", np.where(draw < 320, "val", "test"))
    table.to_csv(folder / "diabetes.csv", index_label="id")
    return folder / "diabetes.csv"


def homes(folder: Path) -> Path:
    """Write 560 generated homes, whose price is skewed and depends on a five-digit code."""
    rng = np.random.default_rng(0)
    rows = 560
    size, rooms = np.exp(rng.normal(4.5, 0.4, rows)), rng.integers(1, 7, rows)
    age, area = rng.integers(0, 80, rows), rng.choice(rng.integers(10_000, 99_999, 30), rows)
    effects = {code: rng.normal(0, 0.5) for code in sorted(set(area))}
    log_price = 8 + 0.9 * np.log(size) + 0.05 * rooms - 0.004 * age + [effects[code] for code in area]
    table = pd.DataFrame({"size": size.round(1), "rooms": rooms, "age": age, "area": area})
    table["price"] = np.exp(log_price + rng.normal(0, 0.25, rows)).round()
    table["split"] = np.repeat(["train", "val", "test"], [390, 60, 110])
    table.to_csv(folder / "homes.csv", index_label="id")
    return folder / "homes.csv"


MADE = {"homes": homes, "diabetes": diabetes}


def plain(
    table: pd.DataFrame, modality: str, columns: list[str], is_number: bool
) -> Iterator[tuple[str, list[Any]]]:
    """Models of scikit-learn, by name, with the strengths that are tried."""
    if modality == "text":
        words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2)
        letters = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5), sublinear_tf=True, min_df=2)
        both = make_union(words, letters)
        yield "n-grams, LinearSVC", [make_pipeline(both, LinearSVC(C=c)) for c in (0.1, 0.3, 1, 3)]
        logistic = [LogisticRegression(C=c, max_iter=300) for c in (1, 10, 100)]
        yield "words, logistic regression", [make_pipeline(TfidfVectorizer(), each) for each in logistic]
        return
    words = [column for column in columns if not pd.api.types.is_numeric_dtype(table[column])]
    numbers = [column for column in columns if column not in words]
    scaled = make_pipeline(SimpleImputer(), StandardScaler())
    one_hot = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    beside = make_column_transformer((scaled, numbers), (one_hot, words))
    coded = make_column_transformer(("passthrough", numbers), (one_hot, words))
    trees = {"learning_rate": 0.05, "random_state": 0}
    rounds = (50, 100, 200)
    if is_number:
        yield "ridge", [make_pipeline(beside, Ridge(a)) for a in (0.1, 1, 10, 100)]
        boosted: list[Any] = [HistGradientBoostingRegressor(max_iter=n, **trees) for n in rounds]
    else:
        logistic = [LogisticRegression(C=c, max_iter=1000) for c in (0.01, 0.1, 1, 10)]
        yield "logistic regression", [make_pipeline(beside, each) for each in logistic]
        boosted = [HistGradientBoostingClassifier(max_iter=n, **trees) for n in rounds]
    yield "boosting", [make_pipeline(coded, each) for each in boosted]


def measure_plain(
    models: list[Any], table: pd.DataFrame, columns: str | list[str], target: str
) -> tuple[float, float]:
    """Fit all models and give the score of the best one on validation, and its score on test."""
    parts = {split: table[table["split"] == split] for split in ("train", "val", "test")}

    def fitted(model: Any) -> tuple[float, float]:
        model.fit(parts["train"][columns], parts["train"][target])
        val, test = (model.score(parts[split][columns], parts[split][target]) for split in ("val", "test"))
        return val, test

    return max((fitted(model) for model in models), key=lambda scores: scores[0])


def measure(
    source: Path, target: str, name: str, section: dict[str, Any], folder: Path
) -> tuple[float, float, float]:
    """Fit an encoder alone; give its metric on validation and test, and the seconds that it took."""
    config = PipelineConfig.model_validate(
        {
            "name": "learners",
            "data": {"source": str(source), "split": {"column": "split"}},
            "target": {"column": target, "task": "regression" if name == "r2" else "classification"},
            "inputs": {"x": section},
        }
    )
    started = time.monotonic()
    steps = PlainSteps(config, folder, Path("/"), "data", "bundle")
    dataset = steps.ingest()
    (learner,) = learners_of(config, dataset)
    prepared = steps.preprocess(dataset, learner)
    single = steps.train_input(dataset, prepared, learner)
    features = steps.extract(dataset, prepared, single, "x")
    seconds = time.monotonic() - started
    head = Head(features.encoder.width, dataset.targets)
    head.load_state_dict(read_tensors(Path(single.head), single.prefix))
    scores = []
    for split in ("val", "test"):
        samples = open_samples_table(dataset).split(split, ["x"])
        natural = head(load_embeddings(samples, "x", features)).detach().double()
        only = dataset.targets.primary
        truth = dataset.targets.encode(samples)[target].numpy()
        scores.append(metric(only, name, truth, only.predict(natural).numpy()))
    return scores[0], scores[1], seconds


def main(names: list[str]) -> None:
    """Print a row per model: metric on validation and test, and seconds."""
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as temporary:
        for name in names or list(SETS):
            manifest, target, score, modality, columns, encoders = SETS[name]
            source = SHARED / manifest if manifest else MADE[name](Path(temporary))
            table = pd.read_csv(source)
            if modality == "text":
                table[columns] = table[columns].fillna("")
            for model, tried in plain(table, modality, columns, score == "r2"):
                started = time.monotonic()
                given = columns[0] if modality == "text" else columns
                val, test = measure_plain(tried, table, given, target)
                seconds = time.monotonic() - started
                print(f"| {name} | {model} | {val:.3f} | {test:.3f} | {seconds:.1f} |", flush=True)
            for encoder in encoders:
                section = {"modality": modality, "columns": columns, "encoder": {"name": encoder}}
                val, test, seconds = measure(source, target, score, section, Path(temporary) / name / encoder)
                print(f"| {name} | **{encoder}** | {val:.3f} | {test:.3f} | {seconds:.1f} |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
