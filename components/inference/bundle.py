"""The delivered model as a folder: what scoring needs, and nothing that has to be unpickled.

``model.json`` (targets, inputs, choice, temperatures), ``delivered.safetensors`` (heads, fusion),
one safetensors file for each set of encoder weights, one JSON file for each preprocessor. For search
also ``aligned.safetensors`` (projections) and ``gallery.parquet`` (:mod:`components.retrieval.gallery`), for
monitoring ``reference.parquet`` (see :mod:`components.monitoring.reference`), for promotion
``learned.parquet`` (:mod:`components.inference.learned_rows`), for students ``out-of-fold.parquet``
(:mod:`components.inference.out_of_fold`).
"""

import json
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from pydantic import TypeAdapter, ValidationError

from components.config import FusionConfig, InputConfig, PretrainedConfig
from components.config.alignment import AlignmentConfig
from components.config.encoders import COMBINED, AnyEncoderConfig, CombinedConfig, CompositeConfig
from components.config.fusion import TreeFusionConfig
from components.data.cells import UnusableCellError, word_of
from components.data.spelling import Spelling, guess_spelling
from components.errors import ModelError
from components.inference.ensemble import CandidateEnsemble
from components.inference.learned_rows import LEARNED, LearnedRows, write_learned
from components.inference.out_of_fold import OUT_OF_FOLD
from components.inference.reference_rows import Sample, write_sample
from components.models.encoders import Encoder
from components.models.fusion import build_fusion
from components.models.networks import Fused
from components.models.projections import Aligned
from components.models.weights import open_encoder, open_preprocessor, own_tensors
from components.preprocess import Preprocessor, load_preprocessor
from components.pretrained import locate
from components.references import EncoderWeights, Prepared
from components.storage.atomic import replacing, write_json
from components.storage.digest import digest_file, digest_json
from components.storage.tensors import load_tensors, save_tensors
from components.targets import AnyTarget, Head, Multilabel, Regression, Targets, split_labels

VERSION = 5
# 2 has no late fusion beside the trained one, and no ensemble; 3 one set of late weights and one encoder per
# input; 4 no trees beside the fusion and no decision thresholds
_READ = (2, 3, 4, 5)
GALLERY = "gallery.parquet"
REFERENCE = "reference.parquet"


@dataclass(frozen=True)
class Searchable:
    """Parts of a model that search across modalities needs.

    Attributes:
        network: Projections of the embeddings that the fusion takes.
        config: Their options.
        gallery: Rows that are searched.
    """

    network: Aligned
    config: AlignmentConfig
    gallery: pa.Table


@dataclass(frozen=True)
class Bundle:
    """A delivered model in memory.

    Attributes:
        inputs: Options by input.
        preprocessors: By input.
        single_encoders: By input: those of the single fits.
        fusion_encoders: By input: those of fusion and trees; the same objects unless trained jointly, or if
            single fits were repeated with validation rows.
        delivered: Candidates and choice.
        facts: Name, seed, digests and versions, for people and reports.
        aligned: Projections for search; None where the pipeline has no ``alignment``.
        spellings: Rule of each target and of each column of the inputs.
    """

    inputs: dict[str, InputConfig]
    preprocessors: dict[str, Preprocessor]
    single_encoders: dict[str, Encoder]
    fusion_encoders: dict[str, Encoder]
    delivered: CandidateEnsemble
    facts: dict[str, Any]
    aligned: Aligned | None = None
    spellings: dict[str, Spelling] = field(default_factory=dict)

    def spelling(self, column: str) -> Spelling:
        """Return the rule of a column; that of words where none was learned."""
        return self.spellings.get(column, Spelling())

    def target_cell(self, name: str, cell: Any) -> str | None:
        """Spell a cell of a target as the training rows were spelled; None for an empty cell.

        Raises:
            TypeError: If the cell holds bytes.
            NotUnicodeError: If the text holds a lone surrogate.
        """
        spelling = self.spelling(name)
        target = next(target for target in self.delivered.targets if target.name == name)
        word = word_of(cell)
        if not isinstance(target, Multilabel):
            try:
                return spelling.name(cell)
            except UnusableCellError:  # a number in another unit, which is no target
                return word
        if word is None or spelling.is_empty(cell):
            return None
        labels = split_labels(word, target.separator, target.none)
        return target.separator.join(str(spelling.name(label)) for label in labels) or target.none


def save_bundle(
    folder: Path,
    *,
    delivered: CandidateEnsemble,
    inputs: Mapping[str, InputConfig],
    fusion: FusionConfig,
    prepared: Mapping[str, Prepared],
    single: Mapping[str, EncoderWeights],
    fused: Mapping[str, EncoderWeights],
    facts: Mapping[str, Any],
    spellings: Mapping[str, Any],
    search: Searchable | None = None,
    sample: Sample | None = None,
    learned: Iterable[LearnedRows] = (),
    out_of_fold: pa.Table | None = None,
) -> None:
    """Write a bundle; the folder appears whole or not at all.

    Args:
        folder: Replaced if it exists.
        delivered: Candidates and choice.
        inputs, fusion: Options.
        prepared: Preprocessors by input.
        single, fused: Encoders by input of the single fits and of the fusion.
        facts: Kept as they are.
        spellings: Rule of each column, as :meth:`Spelling.to_json` describes it.
        search: What search needs, if it shall be possible.
        sample: What new data can be compared with, if the model shall carry it.
        learned: Rows that the model has learned from, and those of each of its teachers.
        out_of_fold: Predictions for the training rows by parts that have not learned from them.
    """
    if folder.exists():
        shutil.rmtree(folder)
    with replacing(folder) as temporary:
        temporary.mkdir(parents=True)
        files: dict[str, str | None] = {}  # digest → file, or None where the checkpoint beside says it all
        encoders: dict[str, dict[str, str | None]] = {"single": {}, "fusion": {}}
        for purpose, weights in (("single", single), ("fusion", fused)):
            for name, reference in weights.items():
                if reference.file is None:
                    files[reference.digest] = None
                if reference.digest not in files:
                    encoder = open_encoder(reference, open_preprocessor(prepared[name]))
                    files[reference.digest] = f"{purpose}-{name}.safetensors"
                    tensors = own_tensors(encoder, reference.options)
                    save_tensors(temporary / f"{purpose}-{name}.safetensors", tensors)
                encoders[purpose][name] = files[reference.digest]
        for name, preprocessor in prepared.items():
            shutil.copyfile(preprocessor.state, temporary / f"{name}.preprocessor.json")
        save_tensors(temporary / "delivered.safetensors", delivered.state_dict())
        if search is not None:
            save_tensors(temporary / "aligned.safetensors", search.network.state_dict())
            pq.write_table(search.gallery, temporary / GALLERY)
        if sample is not None:
            write_sample(sample, temporary / REFERENCE)
        write_learned(learned, temporary / LEARNED)
        if out_of_fold is not None:
            pq.write_table(out_of_fold, temporary / OUT_OF_FOLD, compression="zstd")
        write_json(
            temporary / "model.json",
            {
                "version": VERSION,
                "targets": delivered.targets.to_json(),
                "spellings": dict(spellings),
                "inputs": {
                    name: _described(config, single[name].options, temporary, name).model_dump(mode="json")
                    for name, config in inputs.items()
                },
                "fusion": fusion.model_dump(mode="json") if delivered.fused is not None else None,
                "trees": TreeFusionConfig().model_dump(mode="json") if delivered.trees is not None else None,
                "encoders": encoders,
                "delivered": delivered.settings(),
                "alignment": None if search is None else search.config.model_dump(mode="json"),
                "facts": dict(facts),
            },
        )


def model_digest(folder: Path) -> str:
    """Digest of what answers: weights, preprocessing and settings; not of the samples that the model carries
    and not of ``facts``, which say where it comes from."""
    carried = {"model.json", GALLERY, REFERENCE, LEARNED, OUT_OF_FOLD}
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name not in carried)
    values = json.loads((folder / "model.json").read_text("utf-8"))
    del values["facts"]
    names = [(str(file.relative_to(folder)), digest_file(file)) for file in files]
    return digest_json({"model": values, "files": names})


def bundle_bytes(folder: Path) -> int:
    """Add up the bytes of a bundle's files."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def load_bundle(folder: Path, device: torch.device | None = None) -> Bundle:
    """Read a bundle; needs neither hub nor workspace.

    Raises:
        ModelError: If there is none in the folder, one of another format, or one whose fusion is a plugin
            that is not installed. Also if it names files outside of the folder.
    """
    device = device or torch.device("cpu")
    try:
        values = json.loads((folder / "model.json").read_text("utf-8"))
    except FileNotFoundError as error:
        raise ModelError(f"{folder}: no model (there is no model.json)") from error
    if values["version"] not in _READ:
        raise ModelError(
            f"{folder}: a model of format {values['version']}, this braid reads {_READ[0]} to {_READ[-1]}. "
            "Read it with the braid that wrote it, or run the pipeline again."
        )
    inputs = {
        name: _at(config, folder)
        for name, config in TypeAdapter(dict[str, InputConfig]).validate_python(values["inputs"]).items()
    }
    preprocessors = {
        name: load_preprocessor(json.loads(_inside(folder, f"{name}.preprocessor.json").read_text("utf-8")))
        for name in inputs
    }
    options = {name: _built_from(config, values["targets"]) for name, config in inputs.items()}
    by_file: dict[str, Encoder] = {}
    encoders: dict[str, dict[str, Encoder]] = {}
    for purpose, files in values["encoders"].items():
        for name, file in files.items():
            key = file or name
            if key not in by_file:
                weights = str(_inside(folder, file)) if file else None
                reference = EncoderWeights(name, weights, "", "", 0, options[name])
                by_file[key] = open_encoder(reference, preprocessors[name]).to(device)
            encoders.setdefault(purpose, {})[name] = by_file[key]

    tensors = load_tensors(folder / "delivered.safetensors")
    targets, spellings = _spelled_targets(values)
    delivered = _delivered(values, targets, encoders)
    if values["version"] == 2:
        delivered.late = None
    delivered.load_state_dict(tensors)
    delivered.set_settings(values["delivered"])
    return Bundle(
        inputs,
        preprocessors,
        encoders["single"],
        encoders.get("fusion") or encoders["single"],
        delivered.to(device).eval(),
        values["facts"],
        _aligned(values, encoders, folder, device),
        spellings,
    )


def _aligned(
    values: dict[str, Any], encoders: dict[str, dict[str, Encoder]], folder: Path, device: torch.device
) -> Aligned | None:
    if values.get("alignment") is None:
        return None
    config = AlignmentConfig.model_validate(values["alignment"])
    aligned = Aligned({name: encoder.width for name, encoder in encoders["fusion"].items()}, config)
    aligned.load_state_dict(load_tensors(folder / "aligned.safetensors"))
    return aligned.to(device).eval()


def _described(config: InputConfig, options: AnyEncoderConfig, folder: Path, name: str) -> InputConfig:
    """Options of an input with the encoders that were built; checkpoints are copied into the bundle."""
    if not isinstance(options, CompositeConfig):
        return config.with_encoder(_with_checkpoint(options, folder, name))
    encoders = [
        _with_checkpoint(each, folder, f"{name}-{number}") for number, each in enumerate(options.encoders)
    ]
    return config.with_encoder(COMBINED[config.modality](encoders=encoders))


def _with_checkpoint(options: AnyEncoderConfig, folder: Path, name: str) -> AnyEncoderConfig:
    """Options whose pretrained model is a folder of the bundle, which is filled here."""
    if not isinstance(options, PretrainedConfig):
        return options
    checkpoint = locate(options.model, options.revision)
    copy = folder / f"{name}.checkpoint"
    copy.mkdir()
    for pattern in ("*.json", "*.safetensors", "*.txt", "*.model"):
        for file in checkpoint.glob(pattern):
            shutil.copyfile(file, copy / file.name)
    return options.model_copy(update={"model": copy.name, "revision": None})


def _at(config: InputConfig, folder: Path) -> InputConfig:
    """Options whose pretrained models are found wherever the bundle lies now."""
    encoders = [
        each.model_copy(update={"model": str(_inside(folder, each.model))})
        if isinstance(each, PretrainedConfig)
        else each
        for each in config.encoders
    ]
    combined = isinstance(config.encoder, CombinedConfig)
    return config.with_encoder(COMBINED[config.modality](encoders=encoders) if combined else encoders[0])


def _built_from(config: InputConfig, targets: list[dict[str, Any]]) -> AnyEncoderConfig:
    """Options of the encoder of an input: its only one, or the composite of several."""
    if isinstance(config.encoder, CombinedConfig):
        return CompositeConfig(encoders=config.encoders, targets=targets)
    return config.encoder


def _inside(folder: Path, name: str) -> Path:
    """Return the path of a part of a bundle.

    Raises:
        ModelError: If the name leads out of the bundle, or to nothing.
    """
    path = folder / name
    is_inside = Path(name).name == name and path.resolve().is_relative_to(folder.resolve())
    if not (is_inside and path.exists()):
        raise ModelError(f"{folder}: model.json names {name!r}, which is no file of the model")
    return path


def _spelled_targets(values: dict[str, Any]) -> tuple[Targets, dict[str, Spelling]]:
    """Read the targets and the rules of spelling; a model of an earlier braid gets them from its classes."""
    targets = Targets.from_json(values["targets"])
    if "spellings" in values:
        return targets, {column: Spelling.from_json(rule) for column, rule in values["spellings"].items()}
    spelled: list[AnyTarget] = []
    spellings: dict[str, Spelling] = {}
    for target in targets:
        if isinstance(target, Regression):
            spelled.append(target)
            continue
        guessed = guess_spelling(target.classes)
        names = guessed.names(target.classes)  # None: that model tells apart what is one class today
        spelled.append(target if names is None else replace(target, classes=names))
        spellings[target.name] = Spelling() if names is None else guessed
    return Targets(tuple(spelled)), spellings


def _delivered(
    values: dict[str, Any], targets: Targets, encoders: dict[str, dict[str, Encoder]]
) -> CandidateEnsemble:
    heads = {name: Head(encoder.width, targets) for name, encoder in encoders["single"].items()}
    fused = None
    if values["fusion"] is not None:
        try:
            config = TypeAdapter(FusionConfig).validate_python(values["fusion"])
        except ValidationError as error:  # a plugin that is not installed where the model is used
            reason = error.errors()[0]["msg"].removeprefix("Value error, ")
            raise ModelError(f"the model's fusion cannot be opened here: {reason}") from error
        widths = {name: encoder.width for name, encoder in encoders["fusion"].items()}
        fused = Fused(build_fusion(config, widths, targets), targets)
    trees = None
    if values.get("trees") is not None:
        widths = {name: encoder.width for name, encoder in encoders["fusion"].items()}
        options = TreeFusionConfig.model_validate(values["trees"])
        trees = Fused(build_fusion(options, widths, targets), targets)
    return CandidateEnsemble(heads, fused, targets, torch.zeros(targets.width), trees)
