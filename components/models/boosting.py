"""Gradient-boosted trees for every kind of target: fit, calibration, and the models as tensors."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import lightgbm
import numpy as np
import torch
from torch import Tensor, nn

from components.models.linear import EXCLUDED, row_weights
from components.targets import AnyTarget, Multilabel, Regression, Targets, known_rows, metric, rank

_PATIENCE = 50  # rounds without a better validation loss
_OBJECTIVES = {"gaussian": "regression", "huber": "huber", "absolute": "regression_l1"}

Choice = dict[str, Any]


@dataclass(frozen=True)
class Table:
    """Rows of numbers.

    Attributes:
        rows: (N, D) float64, NaN where a number is missing.
        values: (N,) or (N, L) by target, -1 or NaN where a row does not have it.
    """

    rows: np.ndarray
    values: Mapping[str, Tensor]


@dataclass(frozen=True)
class Boosting:
    """Options of a fit.

    Attributes:
        rounds: Most rounds.
        learning_rate: Shrinkage of each round.
        leaves: Most leaves of a tree, of which the best on validation is taken.
        seed: Seed of every random draw.
        categories: Columns that hold codes of categories.
        balanced: Weigh rows by the inverse frequency of their class.
        repeats: How often each row comes, with other values missing.
    """

    rounds: int
    learning_rate: float
    leaves: Sequence[int]
    seed: int
    categories: Sequence[int] = ()
    balanced: bool = False
    repeats: int = 1


class Forest(nn.Module):
    """LightGBM models (Ke et al. 2017) of all targets; outputs (B, K) of a head are ``base + raw @ mix``.

    Models are kept in LightGBM's text format, which holds no code, as tensors of bytes. The fit decides the
    shapes of all tensors, so a fresh forest takes any state. Without a fit its outputs are 0.

    Args:
        width: Number K of outputs.
    """

    base: Tensor  # (K,)
    mix: Tensor  # (R, K): from the R raw scores of all models to outputs

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("base", torch.zeros(width))
        self.register_buffer("mix", torch.zeros(0, width))
        self._models: list[lightgbm.Booster] = []

    def learn(
        self,
        targets: Targets,
        train: Table,
        val: Table,
        options: Boosting,
        weights: np.ndarray | None = None,
        choice: Choice | None = None,
    ) -> Choice:
        """Fit the trees of each target.

        Rounds are stopped by the loss on validation rows, leaves chosen by the metric on them. Each label has
        trees of its own.

        Args:
            targets: What is predicted.
            train: Rows to learn from.
            val: Rows to stop by, and to find the scale of outputs by; without any it is that of ``choice``.
            options: Options of the fit.
            weights: (N,) weights of the training rows, with mean 1; None weighs all alike.
            choice: What another fit has chosen; None chooses.

        Returns:
            Leaves, rounds and scale by target, JSON-serialisable.
        """
        fits = []
        for number, target in enumerate(targets):
            one = _Fit.of(target, train, val, options, weights)
            fits.append(one.best() if choice is None else one.forest(**choice["targets"][number]))
        texts = [text for fitted in fits for text in fitted.texts]
        self._keep(
            base=torch.from_numpy(np.concatenate([fitted.base for fitted in fits])).float(),
            mix=torch.block_diag(*(torch.from_numpy(fitted.mix).float() for fitted in fits)),
            **{f"model_{number}": _tensor_of(text) for number, text in enumerate(texts)},
        )
        self._read()
        return {
            "targets": [
                {"leaves": fitted.leaves, "rounds": fitted.rounds, "scale": fitted.scale} for fitted in fits
            ]
        }

    def forward(self, rows: np.ndarray) -> Tensor:
        """Rows float64 (B, D) to outputs (B, K)."""
        scores = [_raw(model, rows) for model in self._models]
        raw = np.concatenate([np.zeros((len(rows), 0)), *scores], 1)  # (B, R)
        outputs = raw @ self.mix.cpu().double().numpy() + self.base.cpu().numpy()
        return torch.from_numpy(outputs).float().to(self.base.device)

    @property
    def gains(self) -> np.ndarray:
        """Sum of the gains of all splits on each column, (D,); empty without a model."""
        gains = [model.feature_importance("gain") for model in self._models]
        return np.sum(gains, axis=0) if gains else np.zeros(0)

    def _keep(self, **tensors: Tensor) -> None:
        for name, tensor in tensors.items():
            self.register_buffer(name, tensor)

    def _read(self) -> None:
        texts = (value for name, value in self.named_buffers() if name.startswith("model_"))
        self._models = [lightgbm.Booster(model_str=bytes(text.cpu().numpy()).decode()) for text in texts]

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *rest: Any) -> None:
        own = {key.removeprefix(prefix): value for key, value in state_dict.items() if key.startswith(prefix)}
        self._keep(**{name: torch.empty_like(value) for name, value in own.items()})
        super()._load_from_state_dict(state_dict, prefix, *rest)
        self._read()


def _parameters(options: Boosting, leaves: int, rows: int) -> dict[str, Any]:
    """Options of LightGBM that do well on small tables too, and give the same bits on any machine."""
    rows //= options.repeats
    return {
        "num_leaves": leaves,
        "learning_rate": options.learning_rate,
        "min_data_in_leaf": int(np.clip(rows // 50, 2, 20)) * options.repeats,
        "min_data_per_group": int(np.clip(rows // 50, 2, 100)) * options.repeats,
        "lambda_l2": 1.0,
        "feature_fraction": 0.7,
        "bagging_fraction": 0.8,
        "bagging_freq": 1,
        "seed": options.seed % 2**31,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": torch.get_num_threads(),
        "verbose": -1,
    }


_Calibrated = tuple[np.ndarray, np.ndarray, tuple[float, float] | None, float]


@dataclass(frozen=True)
class _Fitted:
    """Models of one target: outputs (B, K) are ``base + raw @ mix``."""

    texts: list[str]
    base: np.ndarray
    mix: np.ndarray
    leaves: int
    rounds: list[int]
    score: tuple[float, float] | None
    scale: float


@dataclass(frozen=True)
class _Fit:
    """Rows of one target, which all have it; the weights are (N,), or (N, L) for labels."""

    target: AnyTarget
    train: np.ndarray
    values: np.ndarray
    val: np.ndarray
    val_values: np.ndarray
    weights: np.ndarray | None
    options: Boosting

    @classmethod
    def of(
        cls, target: AnyTarget, train: Table, val: Table, options: Boosting, given: np.ndarray | None
    ) -> "_Fit":
        fitted = known_rows(train.values[target.name]).numpy()
        judged = known_rows(val.values[target.name]).numpy()
        values = train.values[target.name].numpy()[fitted]
        given = None if given is None else given[fitted]
        weights = row_weights(target, values, options.balanced, given) if len(values) else None
        val_values = val.values[target.name].numpy()[judged]
        return cls(target, train.rows[fitted], values, val.rows[judged], val_values, weights, options)

    def best(self) -> _Fitted:
        """Fit with each number of leaves, and take what does best on validation."""
        forests = [self.forest(leaves) for leaves in self.options.leaves]
        return max(forests, key=lambda forest: forest.score or (0.0, 0.0))

    def forest(self, leaves: int, rounds: list[int] | None = None, scale: float = 1.0) -> _Fitted:
        """Fit the models of the target.

        Args:
            leaves: Most leaves of a tree.
            rounds: Rounds of each model; None stops each by validation.
            scale: Precision or factor of the outputs, where there is no validation row to find it by.
        """
        target = self.target
        base = np.zeros(target.width)
        rows: list[np.ndarray] = []  # of the mix
        models: list[lightgbm.Booster] = []
        for part in self._parts(base):
            models.append(self._booster(part, leaves, None if rounds is None else rounds[len(models)]))
            rows.append(part.mix)
        mix = np.concatenate([np.zeros((0, target.width)), *rows])
        scores = [_raw(model, self.val) for model in models]
        base, mix, score, scale = self._calibrated(base, mix, scores, scale)
        made = [model.best_iteration or model.current_iteration() for model in models]
        return _Fitted([_text(model) for model in models], base, mix, leaves, made, score, scale)

    def _parts(self, base: np.ndarray) -> Iterator["_Part"]:
        """Divide the target into models; outputs that need none are set in ``base`` (K,)."""
        target, width = self.target, self.target.width
        everywhere = np.ones(len(self.val_values), bool)
        if isinstance(target, Regression):
            truth, val_truth = map(target.standardised, (self.values, self.val_values))
            objective = {"objective": _OBJECTIVES[target.loss], "alpha": 1.0}
            if len(truth):
                yield _Part(objective, truth, val_truth, everywhere, self.weights, np.eye(1, width))
        elif isinstance(target, Multilabel):
            for label in range(width if len(self.values) else 0):
                truth = np.ascontiguousarray(self.values[:, label])
                val_truth = self.val_values[:, label]
                weights = None if self.weights is None else self.weights[:, label].copy()
                if truth.min() == truth.max():
                    base[label] = -EXCLUDED if truth[0] > 0.5 else EXCLUDED
                    continue
                mix = np.eye(1, width, label)
                yield _Part({"objective": "binary"}, truth, val_truth, everywhere, weights, mix)
        elif len(self.values):
            present = np.unique(self.values)
            base[:] = EXCLUDED
            base[present] = 0.0
            known = np.isin(self.val_values, present)
            truth, val_truth = (
                np.searchsorted(present, each).astype(np.float64) for each in (self.values, self.val_values)
            )
            if len(present) == 2:
                halves = (np.eye(width)[present[1:]] - np.eye(width)[present[:1]]) / 2
                yield _Part({"objective": "binary"}, truth, val_truth, known, self.weights, halves)
            elif len(present) > 2:
                objective = {"objective": "multiclass", "num_class": len(present)}
                mix = np.eye(width)[present]
                yield _Part(objective, truth, val_truth, known, self.weights, mix)

    def _booster(self, part: "_Part", leaves: int, rounds: int | None) -> lightgbm.Booster:
        judged, categories = part.judged, list(self.options.categories)
        options = {**_parameters(self.options, leaves, len(part.truth)), **part.objective}
        data = lightgbm.Dataset(
            self.train, part.truth, weight=part.weights, categorical_feature=categories, params=options
        )
        if rounds is not None or not judged.any():
            return lightgbm.train(options, data, rounds or min(self.options.rounds, _PATIENCE))
        held_out = lightgbm.Dataset(self.val[judged], part.val_truth[judged], reference=data)
        stop = lightgbm.early_stopping(_PATIENCE, verbose=False)
        return lightgbm.train(options, data, self.options.rounds, [held_out], callbacks=[stop])

    def _calibrated(
        self, base: np.ndarray, mix: np.ndarray, scores: list[np.ndarray], scale: float
    ) -> _Calibrated:
        """Bring outputs to the scale that fits validation; rank them by the metric on it."""
        target, truth = self.target, self.val_values
        raw = np.concatenate([np.zeros((len(truth), 0)), *scores], 1)  # (V, R)
        if isinstance(target, Regression):
            mean = raw.sum(1)  # one model, or none
            errors = target.standardised(truth) - mean
            scale = 1 / max(float(np.square(errors).mean()), 1e-3) if len(truth) else scale
            base, mix = np.array([0.0, target.raw_precision(scale)]), mix * scale
            return base, mix, self._score(base, mix, raw), scale
        balance = target.balance(self.values) if self.options.balanced and len(self.values) else None
        if balance is not None:  # log-odds of the frequencies that the rows have; see Targets.loss_of
            base = np.where(np.abs(base) == -EXCLUDED, base, base - balance.log().numpy())
        if len(truth):
            scale = 1 / target.temperature(torch.from_numpy(raw @ mix + base), truth)
        base, mix = np.where(np.abs(base) == -EXCLUDED, base, base * scale), mix * scale
        return base, mix, self._score(base, mix, raw), scale

    def _score(self, base: np.ndarray, mix: np.ndarray, raw: np.ndarray) -> tuple[float, float] | None:
        target, truth = self.target, self.val_values
        if not len(truth):
            return None
        natural = target.natural(torch.from_numpy(raw @ mix + base))
        predictions = target.predict(natural).numpy()
        values = [metric(target, name, truth, predictions) for name in (target.metric, "log_loss")]
        return rank(target.metric, *values)


@dataclass(frozen=True)
class _Part:
    """One model of a target.

    Attributes:
        objective: Options of LightGBM.
        truth: (N,) values to learn.
        val_truth: (V,) values to stop by.
        judged: (V,) bool, rows to stop by.
        weights: (N,) weights of the rows.
        mix: (R, K) from the model's raw scores to the target's outputs.
    """

    objective: dict[str, Any]
    truth: np.ndarray
    val_truth: np.ndarray
    judged: np.ndarray
    weights: np.ndarray | None
    mix: np.ndarray


def _raw(model: lightgbm.Booster, rows: np.ndarray) -> np.ndarray:
    """Raw scores (B, R) of a model; one thread, since the embedder has one batch per core."""
    if not len(rows):
        return np.zeros((0, model.num_model_per_iteration()))
    scores = np.asarray(model.predict(rows, raw_score=True, num_threads=1), dtype=np.float64)
    return scores.reshape(len(rows), -1)


def _text(model: lightgbm.Booster) -> str:
    """Model without its options, some of which, such as the number of threads, change no prediction."""
    return str(model.model_to_string()).partition("\nparameters:")[0] + "\n"


def _tensor_of(text: str) -> Tensor:
    return torch.frombuffer(bytearray(text.encode()), dtype=torch.uint8)
