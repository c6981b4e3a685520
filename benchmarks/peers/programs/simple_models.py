"""Models of one input as people write them with scikit-learn, and the features that they take.

A model is a scikit-learn pipeline from the input's columns to a prediction; see :func:`models_of`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import lightgbm
import numpy as np
import pandas as pd
from PIL import Image
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.compose import make_column_transformer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, SplineTransformer, StandardScaler
from sklearn.svm import SVC, SVR, LinearSVC

Named = Iterator[tuple[str, Any]]
_KERNEL_ROWS = 20_000  # above which a kernel machine takes too long
_SPLINE_COLUMNS = 50
_SIDE, _CELL = 64, 8  # pixels; images that are no larger than 32 are halved in both
_GRID, _COLOURS = 4, 4
_SHAPE = 3  # digits from which numbers of one length may be codes


def models_of(
    modality: str, columns: list[str], rows: pd.DataFrame, is_number: bool
) -> tuple[Any, list[tuple[str, Any]]]:
    """Give the features of an input and the models to try on them, by name.

    Args:
        modality: ``text``, ``tabular``, ``image`` or ``audio``.
        columns: Columns of the input.
        rows: Training rows.
        is_number: The target is a number, else a class.

    Returns:
        A transformer of the rows, fitted once for all models, and unfitted models of what it gives.
    """
    make = {"text": _text, "tabular": _table, "image": _media(_image), "audio": _media(_audio)}[modality]
    features, models = make(columns, rows, is_number)
    return features, list(models)


def _text(columns: list[str], rows: pd.DataFrame, is_number: bool) -> tuple[Any, Named]:
    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2, token_pattern=r"\b\w+\b")
    letters = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True, min_df=2)

    def models() -> Named:
        if is_number:
            for strength in (0.3, 1.0, 3.0, 10.0):
                yield f"TF-IDF, ridge {strength:g}", Ridge(strength)
            return
        for strength in (0.1, 0.3, 1.0, 3.0):
            yield f"TF-IDF, LinearSVC {strength:g}", LinearSVC(C=strength)
        for strength in (3.0, 30.0):
            yield f"TF-IDF, logistic {strength:g}", LogisticRegression(C=strength, max_iter=200)

    return make_pipeline(Joined(columns), make_union(words, letters)), models()


def _table(columns: list[str], rows: pd.DataFrame, is_number: bool) -> tuple[Any, Named]:
    words = [column for column in columns if _is_category(rows[column])]
    numbers = [column for column in columns if column not in words]
    one_hot = OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=2, sparse_output=False)
    scaled = make_pipeline(SimpleImputer(strategy="median", add_indicator=True), StandardScaler())
    encodings = {"scaled": scaled}
    if len(numbers) <= _SPLINE_COLUMNS:
        bent = SplineTransformer(n_knots=5, knots="quantile", extrapolation="constant")
        encodings["splines"] = make_pipeline(SimpleImputer(strategy="median", add_indicator=True), bent)
    coded = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-1)

    def models() -> Named:
        for name, encoding in encodings.items():
            beside = make_column_transformer((encoding, numbers), (one_hot, words))
            strengths = (0.1, 1.0, 10.0, 100.0) if is_number else (0.003, 0.03, 0.3, 3.0)
            for strength in strengths:
                linear = Ridge(strength) if is_number else LogisticRegression(C=strength, max_iter=500)
                yield (
                    f"{name}, {'ridge' if is_number else 'logistic'} {strength:g}",
                    make_pipeline(beside, linear),
                )
        kind = lightgbm.LGBMRegressor if is_number else lightgbm.LGBMClassifier
        for rounds in (60, 150, 400):
            trees = kind(
                n_estimators=rounds,
                learning_rate=0.05,
                num_leaves=15,
                min_child_samples=max(5, min(20, len(rows) // 50)),
                colsample_bytree=0.7,
                subsample=0.8,
                subsample_freq=1,
                verbose=-1,
                random_state=0,
            )
            whole = make_column_transformer(("passthrough", numbers), (coded, words))
            yield f"LightGBM {rounds}", make_pipeline(whole, trees)

    return Cells(numbers, words), models()


def _media(
    describe: Callable[[str], np.ndarray],
) -> Callable[[list[str], pd.DataFrame, bool], tuple[Any, Named]]:
    def make(columns: list[str], rows: pd.DataFrame, is_number: bool) -> tuple[Any, Named]:
        def models() -> Named:
            linear = (0.003, 0.03) if not is_number else (10.0, 100.0, 1000.0)
            for strength in linear:
                model = Ridge(strength) if is_number else LogisticRegression(C=strength, max_iter=300)
                yield (
                    f"{'ridge' if is_number else 'logistic'} {strength:g}",
                    make_pipeline(StandardScaler(), model),
                )
            if len(rows) <= _KERNEL_ROWS:
                for strength in (1.0, 3.0, 10.0):
                    machine = SVR(C=strength) if is_number else SVC(C=strength, decision_function_shape="ovr")
                    yield f"SVM {strength:g}", make_pipeline(StandardScaler(), machine)

        return Files(columns, describe), models()

    return make


class _Stateless(TransformerMixin, BaseEstimator):
    def fit(self, rows: pd.DataFrame, _: Any = None) -> Any:
        """Nothing is learned."""
        return self


class Joined(_Stateless):
    """Text of several columns, joined."""

    def __init__(self, columns: list[str]) -> None:
        self.columns = columns

    def transform(self, rows: pd.DataFrame) -> list[str]:
        """Join the cells of each row."""
        return rows[self.columns].fillna("").astype(str).agg("\n".join, axis=1).tolist()


class Cells(_Stateless):
    """Numbers as numbers, everything else as words."""

    def __init__(self, numbers: list[str], words: list[str]) -> None:
        self.numbers, self.words = numbers, words

    def transform(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Convert the columns."""
        numbers = rows[self.numbers].apply(pd.to_numeric, errors="coerce").astype(float)
        words = rows[self.words].astype(object)
        return pd.concat([numbers, words.where(words.notna(), "missing").astype(str)], axis=1)


class Files(_Stateless):
    """Mean of the features of a row's files; a file is read once.

    Args:
        columns: Columns of paths.
        describe: Gives the features of a file.
    """

    def __init__(self, columns: list[str], describe: Callable[[str], np.ndarray]) -> None:
        self.columns, self.describe = columns, describe
        self.known: dict[str, np.ndarray] = {}

    def transform(self, rows: pd.DataFrame) -> np.ndarray:
        """Describe the files of each row."""
        return np.stack([self._row(cells) for cells in rows[self.columns].to_numpy(object)])

    def _row(self, cells: np.ndarray) -> np.ndarray:
        return np.mean([self._file(str(cell)) for cell in cells if not pd.isna(cell)], axis=0)

    def _file(self, path: str) -> np.ndarray:
        if path not in self.known:
            self.known[path] = self.describe(path)
        return self.known[path]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "known": {}}


def _is_category(cells: pd.Series) -> bool:
    """Tell if a column holds words, or numbers of one length that repeat, such as postal codes."""
    if not pd.api.types.is_numeric_dtype(cells) or pd.api.types.is_bool_dtype(cells):
        return True
    filled = cells.dropna()
    if len(filled) < 3 or (filled % 1 != 0).any() or (filled < 0).any():
        return False
    lengths = filled.astype("int64").astype(str).str.len()
    return bool(lengths.nunique() == 1 and lengths.iloc[0] >= _SHAPE and filled.nunique() < len(filled) / 3)


def _image(path: str) -> np.ndarray:
    from skimage.feature import hog  # type: ignore[import-not-found]  # tables and text do without this library

    image = Image.open(path).convert("RGBA")
    white = Image.new("RGBA", image.size, "white")
    image = Image.alpha_composite(white, image).convert("RGB")
    scale = 2 if max(image.size) <= _SIDE // 2 else 1
    pixels = np.asarray(image.resize((_SIDE // scale, _SIDE // scale))) / 255.0
    gradients = hog(
        pixels, orientations=9, pixels_per_cell=(_CELL // scale,) * 2, cells_per_block=(2, 2), channel_axis=2
    )
    levels = np.minimum((pixels * _COLOURS).astype(int), _COLOURS - 1).reshape(-1, 3)
    histogram = np.bincount(levels @ [_COLOURS**2, _COLOURS, 1], minlength=_COLOURS**3) / len(levels)
    side = len(pixels) // _GRID
    blocks = pixels.reshape(_GRID, side, _GRID, side, 3)
    return np.concatenate(
        [gradients, np.sqrt(histogram), blocks.mean(axis=(1, 3)).ravel(), blocks.std(axis=(1, 3)).ravel()]
    )


def _audio(path: str) -> np.ndarray:
    import librosa  # type: ignore[import-not-found]  # tables and text do without this library

    wave, rate = librosa.load(path, sr=None, mono=True)
    window = 2 ** int(np.ceil(np.log2(0.025 * rate)))
    power = librosa.feature.melspectrogram(y=wave, sr=rate, n_fft=window, hop_length=window // 2, n_mels=40)
    bands = librosa.power_to_db(power)
    cepstrum = librosa.feature.mfcc(S=bands, n_mfcc=20)
    width = min(9, (cepstrum.shape[1] - 1) // 2 * 2 + 1)
    change = librosa.feature.delta(cepstrum, width=width) if width >= 3 else np.zeros_like(cepstrum)
    parts = [part.mean(axis=1) for part in np.array_split(cepstrum, 8, axis=1) if part.size]
    parts += [parts[-1]] * (8 - len(parts))
    statistics = [f(x, axis=1) for x in (bands, cepstrum, change) for f in (np.mean, np.std)]
    return np.concatenate([*statistics, *parts])
