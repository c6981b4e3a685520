"""Effect of bf16 on embeddings of real text, and on a classifier of them.

    python -m benchmarks.number_formats PATH/manifest.csv --text keywords --target group

MiniLM embeds every row in fp32 and in bf16, as extraction does on a CPU with matrix units (AMX). A logistic
regression learns from the rows whose split is not test, and predicts those whose split is.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.extraction_media import minilm
from benchmarks.machine import machine
from components.config.encoders import PretrainedConfig
from components.inference.embedder import Embedder
from components.models.encoders import build_encoder
from components.preprocess.text import TextPreprocessor, build_tokenizer


def embeddings(texts: list[str], numbers: str) -> np.ndarray:
    """Embed texts in a number format: (N, D)."""
    config = PretrainedConfig(model=minilm())
    preprocessor = TextPreprocessor(build_tokenizer(config, 256, lowercase=True))
    embedder = Embedder(build_encoder(config, preprocessor), preprocessor, torch.device("cpu"), numbers)
    return np.stack(embedder([preprocessor.canonical(text) for text in texts]))


def apart(exact: np.ndarray, rounded: np.ndarray) -> str:
    """Describe the distance between embeddings (N, D)."""
    cosine = (exact * rounded).sum(1) / np.linalg.norm(exact, axis=1) / np.linalg.norm(rounded, axis=1)
    away = np.linalg.norm(exact - rounded, axis=1) / np.linalg.norm(exact - exact.mean(0), axis=1)
    return (
        f"cosine at least {cosine.min():.5f}; they are {np.median(away):.3f} of an embedding's distance from "
        f"the mean of all apart (median; at most {away.max():.3f})"
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--text", required=True, help="column of the text")
    parser.add_argument("--target", required=True, help="column of the class")
    given = parser.parse_args()
    table = pd.read_csv(given.manifest)
    texts, labels, test = table[given.text].fillna("").tolist(), table[given.target], table["split"] == "test"
    exact, rounded = embeddings(texts, "fp32"), embeddings(texts, "bf16")
    print(f"{machine()}\n\n{len(texts)} rows, {test.sum()} of them test: {apart(exact, rounded)}\n")
    print("| C | accuracy, fp32 | accuracy, bf16 | other predictions | the same, bf16 model on fp32 |")
    print("|---|---|---|---|---|")
    for strength in (0.01, 0.1, 1.0):
        predicted = {}
        for name, values in (("fp32", exact), ("bf16", rounded)):
            model = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=1000))
            predicted[name] = model.fit(values[~test], labels[~test]).predict(values[test])
        mixed = model.predict(exact[test])  # as a server computes in fp32 for a model trained on bf16
        right = [f"{(predicted[name] == labels[test]).mean():.4f}" for name in predicted]
        other = [int((predicted["bf16"] != others).sum()) for others in (predicted["fp32"], mixed)]
        print(f"| {strength:g} | {' | '.join(right)} | {other[0]} | {other[1]} |")


if __name__ == "__main__":
    main()
