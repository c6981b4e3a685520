"""Fit one input on its own: its encoder for the stages to come, and the baseline to beat."""

from collections.abc import Generator
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from components.config import PipelineConfig
from components.config.encoders import AnyEncoderConfig
from components.data.recency import recency
from components.data.samples import learning_rows, load_embeddings, rows_digest, transfer_rows
from components.distillation.setup import DistillationSetup
from components.errors import ConfigError
from components.inference.embedder import Embedder
from components.models.code import encoder_code
from components.models.encoders import Encoder, build_encoder
from components.models.encoders.fitted import FittedEncoder
from components.models.encoders.kernel import Kernel
from components.models.fusion.masking import as_vector
from components.models.networks import Single as SingleNetwork
from components.models.weights import encoder_digest, open_preprocessor
from components.objectives import Objective, Supervised
from components.objectives.supervised import begin_balanced
from components.pipeline.align import load_pretrained
from components.pipeline.fit_once import choice_of, fit_once, read_choice
from components.pipeline.folds import all_as_training, encoder_rows
from components.pipeline.train_once import is_trained, train_once
from components.references import Dataset, EncoderWeights, Features, Prepared, Single, Trained
from components.seeding import seed_of
from components.storage.closure import code_digest
from components.storage.digest import digest, digest_bytes, digest_json, digest_tensors
from components.storage.shards import ShardStore
from components.storage.tensors import load_tensors, save_tensors
from components.storage.work import work
from components.targets import Head
from components.training.batches import Source, open_samples, weigh
from components.training.checkpoint import Epoch
from components.training.folds import Fold
from components.training.loop import BEST
from components.training.probe import fit_probe


def fit(
    dataset: Dataset,
    prepared: Prepared,
    config: PipelineConfig,
    cache: Path,
    pretrained: Trained | None = None,
    distillation: DistillationSetup | None = None,
    fold: Fold | None = None,
    whole: Single | None = None,
) -> Generator[Epoch, None, Single]:
    """Train the encoder of one input together with a linear head of its own.

    Args:
        dataset: Reference to the samples.
        prepared: Canonical samples of the input.
        config: The whole pipeline.
        cache: Folder of trainings.
        pretrained: Initial weights, from :func:`components.pipeline.align.pretrain`.
        distillation: Help of a teacher; initial weights and order of the rows are the same without it.
        fold: Training rows that are left out; None leaves out none.
        whole: The fit to all training rows, whose best epoch is the last of this one. Without a fold this one
            learns from validation rows too.

    Yields:
        Epochs, also those made before an interruption or in an earlier run on the same content.

    Returns:
        Reference to encoder and head.
    """
    name = prepared.input
    options = config.inputs[name]
    seed = seed_of(config.seed, "fit", name)
    torch.manual_seed(seed)
    encoder = build_encoder(options.encoder, open_preprocessor(prepared))
    samples = encoder_rows(dataset, name, config, fold)
    held_out = samples[samples["split"] == "val"]
    if whole is not None and fold is None:
        samples = all_as_training(samples)
    if distillation is not None:
        samples = pd.concat([samples, transfer_rows(dataset, [name])])
    row_weights = recency(dataset, samples[samples["split"] == "train"], config.training.half_life)
    facts: dict[str, object] = {
        "prepared": prepared.fingerprint,
        "rows": rows_digest(samples, [name]),
        "targets": dataset.targets.to_json(),
        "seed": seed,
        "code": encoder_code(encoder, options.encoder),
        **({} if row_weights is None else {"weights": digest_bytes(row_weights.tobytes())}),
    }

    def sources(device: torch.device) -> tuple[Source, Source]:
        train = samples[samples["split"] == "train"]
        # Epochs are only reported on them after a refit; a fit in one pass would find its scale by them.
        val = samples[samples["split"] == "val"] if isinstance(encoder, FittedEncoder) else held_out
        prepared_inputs, inputs = {name: prepared}, {name: options}
        training: Source = open_samples(train, prepared_inputs, inputs, dataset.targets, device)
        training = weigh(training, row_weights, device)
        if distillation is not None:
            training = distillation.with_predictions(training, dataset, train, device)
        return training, open_samples(val, prepared_inputs, inputs, dataset.targets, device)

    if isinstance(encoder, FittedEncoder):
        if distillation is not None:
            raise ConfigError(
                f"inputs.{name}.encoder: {options.encoder.name} is fitted without gradient, and a student "
                "learns from its teacher by gradient. Take another encoder for the student."
            )
        choice = None if whole is None or whole.training is None else choice_of(whole.training)
        facts |= {
            "encoder": options.encoder.model_dump(mode="json"),
            "class_weights": options.fit.class_weights,
            "choice": choice,
        }
        training = yield from fit_once(
            cache,
            name,
            digest_json(facts),
            encoder,
            dataset.targets,
            sources,
            options.fit,
            seed=seed,
            choice=choice,
            row_weights=row_weights,
        )
        return _single(name, encoder, options.encoder, training)

    network = SingleNetwork(name, encoder, Head(encoder.width, dataset.targets))
    if pretrained is not None:
        load_pretrained({name: encoder}, pretrained, config)
    learned = dataset.targets.encode(samples[samples["split"] == "train"])
    begin_balanced(network.head, options.fit, learned)
    stop = None if whole is None or whole.training is None else whole.training.best_epoch + 1
    facts |= {
        "options": options.model_dump(mode="json", include={"encoder", "augment", "fit"}),
        "stop": stop,
        "start": None if pretrained is None else digest_tensors(encoder.state_dict()),
        **({} if distillation is None else {"lesson": distillation.facts(dataset, samples)}),
    }

    def objective(training: Source) -> Objective:
        supervised = Supervised(dataset.targets, options.fit, training.targets)
        return (
            supervised if distillation is None else distillation.student_objective(supervised, encoder.width)
        )

    training = yield from train_once(
        cache,
        name,
        digest_json(facts),
        network,
        objective,
        sources,
        options.fit,
        metric_name=dataset.targets.primary.metric,
        seed=seed,
        engine=config.engine,
        stop=stop,
    )
    return _single(name, encoder, options.encoder, training)


def _single(name: str, encoder: Encoder, options: AnyEncoderConfig, training: Trained) -> Single:
    """Reference to an encoder and its head, whose weights a training has left in its folder."""
    weights = str(Path(training.folder) / BEST)
    key = encoder_digest(encoder, options)
    reference = EncoderWeights(name, weights, "encoder.", key, encoder.width, options, encoder.quantities)
    return Single(reference, weights, "head.", training)


def take_frozen(dataset: Dataset, prepared: Prepared, config: PipelineConfig, cache: Path) -> EncoderWeights:
    """Reference to an encoder that learns from no label.

    The landmarks of a kernel are contents of training rows, those whose digests are the smallest: at random,
    but the same however the table is ordered. Fits without a fold share them, since no label is involved.

    Args:
        dataset: Reference to the samples.
        prepared: Canonical samples of the input.
        config: The whole pipeline.
        cache: Folder of trainings.
    """
    name = prepared.input
    options = config.inputs[name].encoder
    preprocessor = open_preprocessor(prepared)
    encoder = build_encoder(options, preprocessor)
    file = None
    if isinstance(encoder, Kernel):
        samples = learning_rows(dataset, [name])
        train = samples.loc[samples["split"].eq("train"), f"{name}.digest"]
        landmarks = sorted(set(train))[: encoder.width]
        code = encoder_code(encoder, options)
        key = digest(prepared.fingerprint, digest_json(options.model_dump(mode="json")), code, *landmarks)
        with work(cache, f"{name}-kernel-{key}") as job:
            file = job.folder / BEST
            if not is_trained(job):
                rows = ShardStore(Path(prepared.store), "arrow").rows(landmarks)
                embedder = Embedder(encoder.base, preprocessor, torch.device("cpu"), "fp32")
                features = embedder([rows[row] for row in range(len(rows))])
                encoder.learn(torch.from_numpy(np.stack(features)))
                save_tensors(file, encoder.state_dict())
                job.finish({})
        encoder.load_state_dict(load_tensors(file))
    weights = None if file is None else str(file)
    return EncoderWeights(name, weights, "", encoder_digest(encoder, options), encoder.width, options)


def probe(
    dataset: Dataset,
    features: Features,
    config: PipelineConfig,
    cache: Path,
    fold: Fold | None = None,
    whole: Single | None = None,
) -> Single:
    """Fit a linear head to the features of a frozen encoder.

    Args:
        dataset: Reference to the samples.
        features: Embeddings of the input.
        config: The whole pipeline.
        cache: Folder of trainings.
        fold: Training rows that are left out; None leaves out none.
        whole: The fit to all training rows, for one with its strengths that learns from validation rows too.
    """
    name = features.encoder.input
    samples = encoder_rows(dataset, name, config, fold)
    choice = None
    if whole is not None:
        samples, choice = all_as_training(samples), read_choice(Path(whole.head).parent)
    is_train = (samples["split"] == "train").to_numpy()
    row_weights = recency(dataset, samples[is_train], config.training.half_life)
    key = digest(
        Path(features.store).name,
        rows_digest(samples, [name]),
        *(() if row_weights is None else (digest_bytes(row_weights.tobytes()),)),
        digest_json(dataset.targets.to_json()),
        *(() if choice is None else (digest_json(choice),)),
        code_digest(fit_probe, load_embeddings, as_vector),
    )
    with work(cache, f"{name}-probe-{key}") as job:
        weights = job.folder / BEST
        if not is_trained(job):
            vectors = as_vector(load_embeddings(samples, name, features)).numpy()
            head, choice = fit_probe(
                dataset.targets,
                vectors[is_train],
                dataset.targets.encode(samples[is_train]),
                vectors[~is_train],
                dataset.targets.encode(samples[~is_train]),
                row_weights,
                choice,
            )
            save_tensors(weights, head.state_dict())
            job.finish({"choice": choice})
    return Single(features.encoder, str(weights), "", None)
