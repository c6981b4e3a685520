"""Train the fusion: on cached features, or encoders and all."""

import json
import time
from collections.abc import Generator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from components.config import PipelineConfig
from components.config.fusion import TreeFusionConfig
from components.data.recency import recency
from components.data.samples import (
    learning_rows,
    load_embeddings,
    open_samples_table,
    presence,
    rows_digest,
    transfer_rows,
)
from components.distillation.setup import DistillationSetup
from components.models.code import encoder_code, fusion_code
from components.models.encoders import build_encoder
from components.models.fusion import build_fusion
from components.models.fusion.late import Late
from components.models.fusion.trees import EmbeddedRows, TreeFusion
from components.models.networks import Fused, Joint
from components.models.weights import (
    encoder_digest,
    open_encoder,
    open_preprocessor,
    read_tensors,
)
from components.objectives import Objective, Supervised
from components.objectives.balance import build_objective
from components.objectives.supervised import begin_balanced
from components.pipeline.align import auxiliary_facts, load_pretrained, with_auxiliary
from components.pipeline.fit_once import choice_of
from components.pipeline.folds import all_as_training, fold_numbers, fusion_rows
from components.pipeline.train_once import is_trained, train_once
from components.pipeline.unimodal import balance_key, solo_scores
from components.pipeline.unseen import UnseenRows, open_unseen
from components.references import (
    Dataset,
    EncoderWeights,
    Features,
    FusedModel,
    OutOfFold,
    Prepared,
    Single,
    Trained,
)
from components.runtime.deadline import interruptible
from components.seeding import seed_of
from components.storage.closure import code_digest
from components.storage.digest import digest, digest_bytes, digest_json, digest_tensors
from components.storage.tensors import load_tensors, save_tensors
from components.storage.work import work
from components.training.batches import Source, open_embeddings, open_sample_splits, weigh
from components.training.checkpoint import Epoch, read_history
from components.training.folds import Fold
from components.training.loop import BEST
from components.training.stack import held_out, stack

_HELD_OUT = 5  # one of so many parts of the rows stops trees where there are no folds


def fuse(
    dataset: Dataset,
    features: Mapping[str, Features],
    singles: Mapping[str, Single],
    unseen: Mapping[str, OutOfFold],
    config: PipelineConfig,
    cache: Path,
    distillation: DistillationSetup | None = None,
    fold: Fold | None = None,
    whole: FusedModel | None = None,
) -> Generator[Epoch, None, Trained]:
    """Train fusion and head on cached features of rows that the encoders have not seen (strategy: staged).

    Late fusion takes the heads of the single inputs and learns only how to pool them; see
    :class:`components.models.fusion.late.Late`. Trees are fitted in one pass; see
    :class:`components.models.fusion.trees.TreeFusion`.

    Args:
        dataset: Reference to the samples.
        features: Embeddings by input.
        singles: The fits of the single inputs.
        unseen: The training rows out of fold, by input; empty without folds.
        config: The whole pipeline.
        cache: Folder of trainings.
        distillation: Help of a teacher, not for late fusion; initial weights and order of the rows are the
            same without it.
        fold: Training rows that are left out; None leaves out none.
        whole: The training on all training rows, whose best epoch is the last of this one. Without a fold
            this one learns from validation rows too, from which the encoders of ``features`` have not.

    Yields:
        Epochs, also those made before an interruption or in an earlier run on the same content.
    """
    seed = seed_of(config.seed, "fusion")
    torch.manual_seed(seed)
    widths = {name: feature.encoder.width for name, feature in features.items()}
    network = Fused(build_fusion(config.fusion, widths, dataset.targets), dataset.targets)
    samples = fusion_rows(dataset, config, fold)
    held_out = samples[samples["split"] == "val"]
    if whole is not None and fold is None:
        samples = all_as_training(samples)
    if distillation is not None:
        samples = pd.concat([samples, transfer_rows(dataset, list(features))])
    weights = recency(dataset, samples[samples["split"] == "train"], config.training.half_life)
    learned = {name: unseen[name].features if unseen else feature for name, feature in features.items()}
    stop = None if whole is None else whole.training.best_epoch + 1
    facts = {
        "features": {name: Path(feature.store).name for name, feature in learned.items()},
        "rows": rows_digest(samples, list(features)),
        "fusion": config.fusion.model_dump(mode="json"),
        "targets": dataset.targets.to_json(),
        "seed": seed,
        "stop": stop,
        "code": fusion_code(network.fusion, config.fusion),
        **({} if weights is None else {"weights": digest_bytes(weights.tobytes())}),
        **({} if distillation is None else {"lesson": distillation.facts(dataset, samples)}),
    }
    if isinstance(network.fusion, Late):
        rows = open_unseen(dataset, features, singles, unseen, 0 if fold is None else fold.of)
        return (yield from _pool(dataset, rows, singles, config, cache, network, digest_json(facts)))
    if isinstance(network.fusion, TreeFusion):
        held = _rows_to_stop_by(dataset, samples, list(features), bool(unseen))  # none of a refit
        return (
            yield from _boost(
                dataset, samples, held, learned, singles, config, cache, network, facts, weights, whole
            )
        )
    begin_balanced(network.head, config.training, _training_values(dataset, samples))

    learning = {
        "training": config.training.model_dump(mode="json", exclude={"folds", "refit", "half_life"}),
        "balance": balance_key(config.balance, dataset, features, singles),
    }

    def sources(device: torch.device) -> tuple[Source, Source]:
        train = samples[samples["split"] == "train"]
        training: Source = open_embeddings(train, learned, dataset.targets, device)
        training = weigh(training, weights, device)
        if distillation is not None:
            training = distillation.with_predictions(training, dataset, train, device)
        return training, open_embeddings(held_out, learned, dataset.targets, device)

    def objective(training: Source) -> Objective:
        strength = solo_scores(dataset, features, singles)
        supervised = build_objective(
            config.balance, strength, dataset.targets, config.training, training.targets
        )
        return (
            supervised
            if distillation is None
            else distillation.student_objective(supervised, network.fusion.width)
        )

    return (
        yield from train_once(
            cache,
            "fusion",
            digest_json({**facts, **learning}),
            network,
            objective,
            sources,
            config.training,
            metric_name=dataset.targets.primary.metric,
            seed=seed,
            engine=config.engine,
            modality_dropout=config.fusion.modality_dropout,
            inputs=network.inputs,
            stop=stop,
        )
    )


def _pool(
    dataset: Dataset,
    rows: UnseenRows,
    singles: Mapping[str, Single],
    config: PipelineConfig,
    cache: Path,
    network: Fused,
    facts: str,
) -> Generator[Epoch, None, Trained]:
    """Pool fitted inputs by late fusion, in one pass over rows that the fits have not seen."""
    late = network.fusion
    assert isinstance(late, Late)
    heads = {name: read_tensors(Path(single.head), single.prefix) for name, single in singles.items()}
    key = digest(
        facts,
        code_digest(stack, held_out, Supervised, open_unseen),
        *(digest_tensors({**heads[name], "unseen": rows.natural[name]}) for name in late.inputs),
    )
    with work(cache, f"fusion-{key}") as job:
        if not is_trained(job):
            for name in late.inputs:
                late.heads[name].load_state_dict(heads[name])
            natural, present, values, prior = rows.natural, rows.present, rows.values, training_prior(dataset)
            objective = Supervised(dataset.targets, config.training, values)
            (fair,) = held_out(dataset.targets, natural, present, values, prior, [present], rows.folds)
            stack(late, natural, present, values, prior)
            train_loss, _ = objective.evaluate(late.combine(natural, present).detach(), values, present)
            val_loss, value = objective.evaluate(fair, values, present)
            epoch = Epoch(
                epoch=0,
                train_loss=train_loss,
                val_loss=val_loss,
                metric=value,
                learning_rate=0.0,
                seconds=0.0,
            )
            save_tensors(job.folder / BEST, network.state_dict())
            job.finish({"history": [asdict(epoch)]})
    history = read_history(job.folder)
    yield from history
    learned = late.log_weight.numel() + late.log_temperature.numel() + late.bias.numel()
    return Trained("fusion", str(job.folder), 1, 0, history[0].metric, learned)


def _rows_to_stop_by(
    dataset: Dataset, samples: pd.DataFrame, names: Sequence[str], cross_fitted: bool
) -> np.ndarray:
    """Mark the rows by which trees are stopped, (N,) bool: none of those by which the model is chosen.

    With folds the choice is made by training rows. Without, it is made by the validation rows, so that a
    fifth of the rows that the trees may learn from is held out.
    """
    if cross_fitted:
        return samples["split"].eq("val").to_numpy()
    train = samples["split"].eq("train").to_numpy()
    held = np.zeros(len(samples), bool)
    held[train] = fold_numbers(dataset, samples[train], names, _HELD_OUT) == 0
    return held


def _boost(
    dataset: Dataset,
    samples: pd.DataFrame,
    held: np.ndarray,
    features: Mapping[str, Features],
    singles: Mapping[str, Single],
    config: PipelineConfig,
    cache: Path,
    network: Fused,
    facts: dict[str, Any],
    weights: np.ndarray | None,
    whole: FusedModel | None,
) -> Generator[Epoch, None, Trained]:
    """Fit trees over all inputs, in one pass over rows that the encoders have not seen.

    Args:
        samples: N rows to learn from and to stop by, and perhaps validation rows to report on.
        held: (N,) bool, rows to stop by.
        features: Embeddings of these rows, by input.
        weights: Weights of the training rows; None weighs all alike.
        whole: The training on all training rows, which has chosen the number of rounds; None chooses it.
    """
    trees = network.fusion
    assert isinstance(trees, TreeFusion)
    heads = {name: read_tensors(Path(singles[name].head), singles[name].prefix) for name in trees.inputs}
    choice = None if whole is None else choice_of(whole.training)
    columns = {name: list(features[name].encoder.quantities) for name in trees.inputs}
    key = digest(
        digest_json({**facts, "choice": choice, "columns": columns}),
        digest_bytes(held.tobytes()),
        code_digest(_boost, Supervised),
        *(digest_tensors(heads[name]) for name in trees.inputs),
    )
    with work(cache, f"trees-{key}") as job:
        if not is_trained(job):
            started = time.monotonic()
            for name in trees.inputs:
                trees.heads[name].load_state_dict(heads[name])
            is_train = samples["split"].eq("train").to_numpy()
            learned, stopped, val = (
                _embedded(dataset, samples[rows], features) for rows in (is_train & ~held, held, ~is_train)
            )
            with interruptible():
                choice = trees.learn(
                    learned,
                    stopped,
                    columns,
                    hide=config.fusion.modality_dropout.rate,
                    seed=seed_of(config.seed, "fusion"),
                    weights=None if weights is None else weights[~held[is_train]],
                    choice=choice,
                )
            objective = Supervised(dataset.targets, config.training, learned.values)
            train_loss, _ = objective.evaluate(
                network(learned.embeddings, learned.present), learned.values, learned.present
            )
            val = learned if is_train.all() else val  # a refit has no rows beside those that it learns from
            val_loss, value = objective.evaluate(
                network(val.embeddings, val.present), val.values, val.present
            )
            save_tensors(job.folder / BEST, network.state_dict())
            epoch = Epoch(0, train_loss, val_loss, value, 0.0, time.monotonic() - started)
            job.finish({"history": [asdict(epoch)], "choice": choice, "shares": trees.shares()})
    history = read_history(job.folder)
    yield from history
    return Trained("fusion", str(job.folder), 1, 0, history[0].metric, 0)


def shares_of(trees: FusedModel) -> dict[str, float]:
    """Read the share of the gain of all splits that each input has in trees."""
    done = json.loads((Path(trees.training.folder) / "done.json").read_text("utf-8"))
    return {str(name): float(share) for name, share in done["shares"].items()}


def _embedded(dataset: Dataset, samples: pd.DataFrame, features: Mapping[str, Features]) -> EmbeddedRows:
    """Load the embeddings of some rows, in memory."""
    return EmbeddedRows(
        {name: load_embeddings(samples, name, feature) for name, feature in features.items()},
        torch.from_numpy(presence(samples, list(features))),
        dataset.targets.encode(samples),
    )


def train_jointly(
    dataset: Dataset,
    prepared: Mapping[str, Prepared],
    features: Mapping[str, Features],
    singles: Mapping[str, Single],
    config: PipelineConfig,
    cache: Path,
    start: Trained | None = None,
    pretrained: Trained | None = None,
) -> Generator[Epoch, None, Trained]:
    """Train encoders, fusion and head together.

    Args:
        dataset: Reference to the samples.
        prepared: Canonical samples by input.
        features, singles: The fits of the single inputs, to begin from or to compare with.
        config: The whole pipeline.
        cache: Folder of trainings.
        start: The fusion of their features to go on from, for the last phase of a staged training; None
            starts from nothing (strategy: joint).
        pretrained: Result of :func:`components.pipeline.align.pretrain`: where nothing else is, encoders
            from scratch begin with its weights.

    Yields:
        Epochs, also those made before an interruption or in an earlier run on the same content.
    """
    names = sorted(prepared)
    seed = seed_of(config.seed, "joint")
    torch.manual_seed(seed)
    preprocessors = {name: open_preprocessor(prepared[name]) for name in names}
    options = config.training
    if start is None:
        encoders = {name: build_encoder(config.inputs[name].encoder, preprocessors[name]) for name in names}
        if pretrained is not None:
            load_pretrained(encoders, pretrained, config)
    else:
        encoders = {name: open_encoder(features[name].encoder, preprocessors[name]) for name in names}
        options = options.model_copy(
            update={"epochs": config.joint_epochs, "learning_rate": config.joint_learning_rate}
        )
    widths = {name: encoder.width for name, encoder in encoders.items()}
    fused = Fused(build_fusion(config.fusion, widths, dataset.targets), dataset.targets)
    if start is not None:
        fused.load_state_dict(load_tensors(Path(start.folder) / BEST))
    network = Joint(encoders, fused)

    samples = learning_rows(dataset, names)
    weights = recency(dataset, samples[samples["split"] == "train"], options.half_life)
    if start is None:
        begin_balanced(fused.head, options, _training_values(dataset, samples))
    key = digest_json(
        {
            "prepared": {name: prepared[name].fingerprint for name in names},
            "rows": rows_digest(samples, names),
            "weights": None if weights is None else digest_bytes(weights.tobytes()),
            "inputs": {
                name: config.inputs[name].model_dump(mode="json", include={"encoder", "augment"})
                for name in names
            },
            "fusion": config.fusion.model_dump(mode="json"),
            "training": options.model_dump(mode="json", exclude={"refit"}),
            "balance": balance_key(config.balance, dataset, features, singles),
            "start": None if start is None and pretrained is None else digest_tensors(network.state_dict()),
            "alignment": auxiliary_facts(config),
            "targets": dataset.targets.to_json(),
            "seed": seed,
            "code": [
                fusion_code(fused.fusion, config.fusion),
                *(encoder_code(encoders[name], config.inputs[name].encoder) for name in names),
            ],
        }
    )

    def sources(device: torch.device) -> tuple[Source, Source]:
        training, validation = open_sample_splits(samples, prepared, config.inputs, dataset.targets, device)
        return weigh(training, weights, device), validation

    return (
        yield from train_once(
            cache,
            "joint",
            key,
            network,
            lambda training: with_auxiliary(
                build_objective(
                    config.balance,
                    solo_scores(dataset, features, singles),
                    dataset.targets,
                    options,
                    training.targets,
                ),
                widths,
                dataset.targets,
                config,
            ),
            sources,
            options,
            metric_name=dataset.targets.primary.metric,
            seed=seed,
            engine=config.engine,
            modality_dropout=config.fusion.modality_dropout,
            inputs=network.inputs,
        )
    )


def joint_encoders(
    trained: Trained, prepared: Mapping[str, Prepared], config: PipelineConfig
) -> dict[str, EncoderWeights]:
    """References to the encoders of a joint training."""
    weights = str(Path(trained.folder) / BEST)
    result = {}
    for name, reference in prepared.items():
        options = config.inputs[name].encoder
        draft = EncoderWeights(name, weights, f"encoders.{name}.", "", 0, options)
        encoder = open_encoder(draft, open_preprocessor(reference))
        result[name] = replace(draft, digest=encoder_digest(encoder, options), width=encoder.width)
    return result


def with_trees(config: PipelineConfig) -> PipelineConfig:
    """Give the configuration with trees for its fusion."""
    return config.model_copy(update={"fusion": TreeFusionConfig()})


def fused_model(trained: Trained, features: Mapping[str, Features], joint: bool = False) -> FusedModel:
    """Reference to the fusion of a training.

    Args:
        trained: The training.
        features: Embeddings that the fusion takes, by input.
        joint: Whether encoders and fusion were trained together.
    """
    prefix = "fused." if joint else ""
    return FusedModel(dict(features), str(Path(trained.folder) / BEST), prefix, trained, joint)


def training_prior(dataset: Dataset) -> torch.Tensor:
    """Natural parameters of the answer without any input. (K,) float32."""
    return dataset.targets.prior(_training_values(dataset, open_samples_table(dataset).rows()))


def _training_values(dataset: Dataset, samples: pd.DataFrame) -> dict[str, torch.Tensor]:
    """Encode the targets of the training rows among some rows."""
    return dataset.targets.encode(samples[samples["split"] == "train"])
