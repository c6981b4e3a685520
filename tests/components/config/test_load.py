"""Pipeline files: those that are shipped, those that are wrong, and ``--set``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from components.config import ConfigError, PipelineConfig, load_pipeline
from components.config.fusion import GatedConfig
from components.config.sweep import load_sweep

CONFIGS = Path(__file__).parents[3] / "configs"
VALID: dict[str, Any] = {
    "name": "t",
    "data": {"source": "rows.csv"},
    "inputs": {
        "image": {
            "modality": "image",
            "columns": "photo",
            "encoder": {"name": "cnn", "width": 32, "channels": [8, 16]},
        },
        "facts": {"modality": "tabular", "columns": ["age", "city"], "encoder": {"name": "mlp"}},
    },
    "fusion": {"name": "transformer", "width": 64, "heads": 2, "modality_dropout": {"rate": 0.4}},
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "pipeline.yaml"
    path.write_text(yaml.safe_dump(VALID), "utf-8")
    return path


def changed(file: Path, change: str, value: Any) -> Path:
    """The valid file with one value changed; ``...`` takes the key out."""
    values = yaml.safe_load(file.read_text("utf-8"))
    *sections, key = change.split(".")
    section = values
    for part in sections:
        section = section[part]
    if value is ...:
        del section[key]
    else:
        section[key] = value
    file.write_text(yaml.safe_dump(values), "utf-8")
    return file


OTHERS = ("distill", "operations")
PIPELINES = sorted(path for path in CONFIGS.glob("*.yaml") if not path.stem.endswith(OTHERS))


@pytest.mark.parametrize("path", PIPELINES, ids=lambda path: path.stem)
def test_every_shipped_configuration_loads(path: Path) -> None:
    load = load_sweep if "pipelines:" in path.read_text("utf-8") else load_pipeline
    assert load(path).name == path.stem


def test_configurations_are_shipped() -> None:
    assert (CONFIGS / "demo.yaml").exists()


def test_a_single_column_may_stand_without_brackets(file: Path) -> None:
    assert load_pipeline(file).inputs["image"].columns == ["photo"]


def test_a_fusion_may_be_its_name_alone_and_takes_overrides(file: Path) -> None:
    assert load_pipeline(changed(file, "fusion", "gated")).fusion == GatedConfig(name="gated")
    assert load_pipeline(file, ["fusion.width=48"]).fusion == GatedConfig(name="gated", width=48)


def test_what_is_written_out_is_read_as_the_same_pipeline(file: Path) -> None:
    config = load_pipeline(file)
    assert PipelineConfig.model_validate(config.model_dump(mode="json")) == config


# what is changed, to what, and what the message must say
FAULTS: dict[str, tuple[str, Any, list[str]]] = {
    "unknown option at the top": ("trainig", {}, ["trainig: unknown option", "Did you mean 'training'?"]),
    "unknown option of a section": (
        "data.max_bda",
        0.1,
        ["data.max_bda: unknown option", "max_bad", "Did you mean 'max_bad'?"],
    ),
    "unknown option of an input": (
        "inputs.image.sizes",
        32,
        ["inputs.image.sizes: unknown option", "Did you mean 'size'?"],
    ),
    "unknown option of an encoder": (
        "inputs.image.encoder.chanels",
        [8],
        ["inputs.image.encoder.chanels: unknown option", "Did you mean 'channels'?"],
    ),
    "option of another encoder": (
        "inputs.image.encoder.blocks",
        2,
        [
            "inputs.image.encoder.blocks: unknown option; expected one of: name, width, channels, dropout",
        ],
    ),
    "wrong word": (
        "strategy",
        "stagged",
        ["strategy: 'stagged' is not one of: staged, joint", "Did you mean 'staged'?"],
    ),
    "wrong word in an input": (
        "inputs.image.fit_mode",
        "padd",
        ["inputs.image.fit_mode: 'padd' is not one of: crop, pad, stretch", "Did you mean 'pad'?"],
    ),
    "wrong word in a mapping": (
        "inputs.facts.types",
        {"age": "numerical"},
        ["inputs.facts.types.age: 'numerical' is not one of:", "datetime", "Did you mean 'numeric'?"],
    ),
    "wrong metric": (
        "target",
        {"metric": "acuracy"},
        ["target.metric: 'acuracy' is not one of: accuracy", "Did you mean 'accuracy'?"],
    ),
    "metric of another task": (
        "target",
        {"task": "regression", "metric": "accuracy"},
        ["target.metric: 'accuracy' is not one of: r2, rmse, mae, mape, log_loss."],
    ),
    "unknown task": (
        "target",
        {"task": "regresion"},
        [
            "target.task: 'regresion' is not one of: classification, ordinal, multilabel, regression.",
            "Did you mean 'regression'?",
        ],
    ),
    "option of another task": (
        "target",
        {"order": ["low", "high"]},
        ["target.order: unknown option; expected one of: column, task, metric, threshold."],
    ),
    "unknown option of a further target": (
        "further_targets",
        [{"column": "price", "task": "regression", "lss": "huber"}],
        [
            "further_targets.0.lss: unknown option; expected one of: column, task, loss, transform, metric.",
            "'loss'?",
        ],
    ),
    "unknown task of a further target": (
        "further_targets",
        [{"column": "price", "task": "regression"}, {"column": "tags", "task": "multi_label"}],
        ["further_targets.1.task: 'multi_label' is not one of:", "Did you mean 'multilabel'?"],
    ),
    "wrong word in a further target": (
        "further_targets",
        [{"column": "price", "task": "regression", "loss": "hubber"}],
        ["further_targets.0.loss: 'hubber' is not one of: gaussian, huber, absolute.", "'huber'?"],
    ),
    "wrong type in a further target": (
        "further_targets",
        [{"column": "tags", "task": "multilabel", "separator": ""}],
        ["further_targets.0.separator: '':", "at least 1 character"],
    ),
    "a word for a target": ("target", "price", ["target: 'price':", "valid dictionary"]),
    "a mapping for the list of targets": (
        "further_targets",
        {"column": "price"},
        ["further_targets: {'column': 'price'}:", "valid list"],
    ),
    "a target twice": (
        "further_targets",
        [{"column": "label", "task": "multilabel"}],
        ["further_targets: 'label' is a target already"],
    ),
    "an order of one class": (
        "target",
        {"task": "ordinal", "order": ["low"]},
        ["target.order: ['low']:", "at least 2 items"],
    ),
    "a class twice in the order": (
        "target",
        {"task": "ordinal", "order": ["low", "high", "low"]},
        ["target: order: 'low' is repeated"],
    ),
    "metric of promotion that the task lacks": (
        "promotion",
        {"metric": "r2"},
        ["promotion.metric: 'r2' is not one of: accuracy,"],
    ),
    "wrong metric where null is allowed": (
        "promotion",
        {"metric": "f1"},
        ["promotion.metric: 'f1' is not one of: accuracy,", "f1_macro"],
    ),
    "unknown fusion": (
        "fusion",
        {"name": "gates"},
        ["fusion.name: 'gates' is not one of: concat, late, gated, transformer", "Did you mean 'gated'?"],
    ),
    "unknown encoder": (
        "inputs.image.encoder",
        {"name": "resnet50"},
        ["inputs.image.encoder.name: 'resnet50' is not one of: cnn, resnet", "Did you mean 'resnet'?"],
    ),
    "encoder of another modality": (
        "inputs.image.encoder",
        {"name": "gru"},
        ["inputs.image.encoder.name: 'gru' is not one of: cnn, resnet, hog, pretrained"],
    ),
    "unknown modality": (
        "inputs.image.modality",
        "picture",
        ["inputs.image.modality: 'picture' is not one of: image, text, audio, tabular"],
    ),
    "no modality": ("inputs.image.modality", ..., ["inputs.image.modality: required, but not given"]),
    "no encoder name": (
        "inputs.image.encoder",
        {"width": 3},
        ["inputs.image.encoder.name: required, but not given"],
    ),
    "no columns": (
        "inputs.image.columns",
        ...,
        ["inputs.image.columns: required, but not given (Column of the manifest, or several"],
    ),
    "no data": ("data", ..., ["data: required, but not given (Manifest of the samples.)"]),
    "no source": ("data.source", ..., ["data.source: required, but not given", "Hugging Face dataset id"]),
    "attention over one column": (
        "inputs.image.pooling",
        "attention",
        ["inputs.image: pooling: attention is for several columns; here is one"],
    ),
    "text for a number": ("training", {"epochs": "many"}, ["training.epochs: 'many':", "valid integer"]),
    "number in a list of numbers": (
        "inputs.image.encoder.channels",
        [8, "x"],
        ["inputs.image.encoder.channels.1: 'x':", "valid integer"],
    ),
    "a list for a section": ("data", ["rows.csv"], ["data: ['rows.csv']:", "valid dictionary"]),
    "null for a number": ("training", {"batch_size": None}, ["training.batch_size: None:", "valid integer"]),
    "too large": ("data.max_bad", 5, ["data.max_bad: 5:", "less than or equal to 1"]),
    "too small": ("training", {"learning_rate": 0}, ["training.learning_rate: 0:", "greater than 0"]),
    "splits that leave nothing": (
        "data.split",
        {"val": 0.5, "test": 0.5},
        ["data.split: val + test must leave rows for training, got 0.5 + 0.5"],
    ),
    "heads that do not divide": ("fusion.heads", 3, ["fusion: heads 3 does not divide width 64"]),
    "no inputs": ("inputs", {}, ["inputs: {}:", "at least 1 item"]),
    "name with a space": ("name", "my run", ["name: 'my run':", "match pattern"]),
    "input with a dash": ("inputs.my-image", VALID["inputs"]["image"], ["inputs: 'my-image' cannot name"]),
    "input with a name of its own": (
        "inputs.fusion",
        VALID["inputs"]["image"],
        ["inputs: 'fusion' cannot name an input", "fusion_input"],
    ),
    # torch's containers have attributes of this name and refuse a part called so
    "input named like an attribute": (
        "inputs.values",
        VALID["inputs"]["facts"],
        ["inputs: 'values' cannot name an input", "values_input"],
    ),
}


@pytest.mark.parametrize("kind", FAULTS)
def test_a_fault_is_told_with_path_value_and_remedy(file: Path, kind: str) -> None:
    change, value, wanted = FAULTS[kind]
    with pytest.raises(ConfigError) as caught:
        load_pipeline(changed(file, change, value))
    message = str(caught.value)
    assert message.startswith(f"{file} is not a valid configuration:\n")
    for part in wanted:
        assert part in message
    assert len(message.splitlines()) == 2, "one fault, one line"
    assert "pydantic" not in message


def test_joint_epochs_need_stages(file: Path) -> None:
    with pytest.raises(ConfigError, match="joint_epochs is for strategy 'staged'"):
        load_pipeline(file, ["strategy=joint", "joint_epochs=2"])


def test_all_faults_are_told_at_once(file: Path) -> None:
    changed(file, "data.max_bad", 5)
    with pytest.raises(ConfigError) as caught:
        load_pipeline(changed(file, "seed", "x"))
    assert "data.max_bad" in str(caught.value)
    assert "seed: 'x'" in str(caught.value)


UNREADABLE: dict[str, tuple[bytes, str]] = {
    "duplicate key": (b"name: a\ndata: {source: x, source: y}\n", "'source' is repeated"),
    "no mapping": (b"- a\n- b\n", "expected a mapping with name, data, inputs, ...; found list"),
    "plain text": (b"hello\n", "expected a mapping with name, data, inputs, ...; found str"),
    "not YAML": (b"name: [a\n", "not valid YAML"),
    "not UTF-8": (b"name: caf\xe9\n", "not a text file in UTF-8 (invalid continuation byte at byte 9)"),
    "objects are not made": (b"name: !!python/object/apply:os.getcwd []\n", "not valid YAML"),
    "deep nesting": (b"[" * 5000, "not valid YAML"),
}


@pytest.mark.parametrize("kind", UNREADABLE)
def test_an_unreadable_file_is_told_by_its_name(tmp_path: Path, kind: str) -> None:
    content, wanted = UNREADABLE[kind]
    path = tmp_path / "broken.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        load_pipeline(path)
    assert str(caught.value).startswith(str(path))
    assert wanted in str(caught.value)


def test_an_empty_file_lacks_all_that_is_required(tmp_path: Path) -> None:
    (tmp_path / "empty.yaml").touch()
    with pytest.raises(ConfigError, match="inputs: required, but not given"):
        load_pipeline(tmp_path / "empty.yaml")


@pytest.mark.parametrize("name", ["missing.yaml", "."])
def test_a_file_that_is_not_there_names_the_examples(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=r"cannot be read .*configs/"):
        load_pipeline(tmp_path / name)


class TestSet:
    """``--set path=value``."""

    @pytest.mark.parametrize(
        ("text", "path", "expected"),
        [
            ("seed=7", "seed", 7),
            ("training.learning_rate=1e-3", "training.learning_rate", 1e-3),  # YAML 1.1 reads it as text
            ("training.learning_rate=.5", "training.learning_rate", 0.5),
            ("training.clip_norm=null", "training.clip_norm", None),
            ("training.patience=", "training.patience", None),
            ("data.split.stratify=false", "data.split.stratify", False),
            ("training.class_weights=balanced", "training.class_weights", "balanced"),
            ("inputs.image.encoder.channels=[4, 8, 16]", "inputs.image.encoder.channels", [4, 8, 16]),
            ("inputs.facts.columns=[age]", "inputs.facts.columns", ["age"]),
            ("inputs.facts.types={age: numeric}", "inputs.facts.types", {"age": "numeric"}),
            ("inputs.facts.types.age=numeric", "inputs.facts.types", {"age": "numeric"}),
            ("data.source=s3://bucket/a=b.csv", "data.source", "s3://bucket/a=b.csv"),
            ("target.metric=f1_macro", "target.metric", "f1_macro"),  # a section the file lacks
        ],
    )
    def test_a_value_is_read_as_yaml(self, file: Path, text: str, path: str, expected: Any) -> None:
        result: Any = load_pipeline(file, [text])
        for part in path.split("."):
            result = result[part] if isinstance(result, dict) else getattr(result, part)
        assert result == expected

    def test_later_ones_win(self, file: Path) -> None:
        assert load_pipeline(file, ["seed=1", "seed=2"]).seed == 2

    def test_another_fusion_drops_the_options_it_lacks_and_keeps_those_it_has(self, file: Path) -> None:
        fusion = load_pipeline(file, ["fusion.name=gated"]).fusion
        assert fusion.name == "gated"
        assert fusion.width == 64  # both have it
        assert fusion.modality_dropout.rate == 0.4
        assert not hasattr(fusion, "heads")

    def test_the_same_fusion_keeps_its_options(self, file: Path) -> None:
        assert load_pipeline(file, ["fusion.name=transformer"]).fusion.heads == 2

    def test_another_task_drops_the_options_it_lacks(self, file: Path) -> None:
        changed(file, "target", {"column": "age", "task": "ordinal", "order": ["1", "2"]})
        target = load_pipeline(file, ["target.metric=mae", "target.task=regression"]).target
        assert (target.task, target.column, target.metric) == ("regression", "age", "mae")
        assert not hasattr(target, "order")

    def test_a_choice_counts_before_its_options_whatever_their_order(self, file: Path) -> None:
        fusion = load_pipeline(file, ["fusion.layers=3", "fusion.name=concat"]).fusion
        assert (fusion.name, fusion.layers) == ("concat", 3)

    def test_another_encoder_drops_the_options_it_lacks(self, file: Path) -> None:
        encoder = load_pipeline(file, ["inputs.facts.encoder.name=ft_transformer"]).inputs["facts"].encoder
        assert encoder.name == "ft_transformer"
        changed(file, "inputs.image.encoder", {"name": "resnet", "blocks": 2, "channels": [4]})
        encoder = load_pipeline(file, ["inputs.image.encoder.name=cnn"]).inputs["image"].encoder
        assert (encoder.name, encoder.channels) == ("cnn", [4])

    def test_another_encoder_of_an_input_named_like_its_section(self, file: Path) -> None:
        values = {"modality": "image", "columns": "photo", "encoder": {"name": "resnet", "blocks": 2}}
        changed(file, "inputs.encoder", values)
        assert (
            load_pipeline(file, ["inputs.encoder.encoder.name=cnn"]).inputs["encoder"].encoder.name == "cnn"
        )

    def test_a_wrong_choice_is_told_like_one_in_the_file(self, file: Path) -> None:
        with pytest.raises(ConfigError, match=r"fusion.name: 'gatd' is not one of.*Did you mean 'gated'"):
            load_pipeline(file, ["fusion.name=gatd"])

    @pytest.mark.parametrize("text", ["seed", "=3", "fusion..name=late", ".seed=1", "training.=3"])
    def test_a_setting_without_path_or_value_says_what_is_expected(self, file: Path, text: str) -> None:
        with pytest.raises(ConfigError, match=r"expected section.option=value, for example"):
            load_pipeline(file, [text])

    def test_a_value_that_is_not_yaml_is_told(self, file: Path) -> None:
        with pytest.raises(ConfigError, match=r"--set seed=\[1: the value is not valid YAML"):
            load_pipeline(file, ["seed=[1"])

    def test_a_path_through_a_plain_value_is_told(self, file: Path) -> None:
        with pytest.raises(ConfigError, match=r"data.source.x: data.source holds 'rows.csv', not a section"):
            load_pipeline(file, ["data.source.x=1"])

    def test_an_unknown_option_is_told(self, file: Path) -> None:
        with pytest.raises(ConfigError, match=r"training.epoch: unknown option.*Did you mean 'epochs'"):
            load_pipeline(file, ["training.epoch=1"])


class TestRobustness:
    def test_an_unknown_corruption_is_told_with_the_nearest(self, file: Path) -> None:
        with pytest.raises(
            ConfigError,
            match=r"robustness.corruptions.1: 'oclusion' is not one of: .*Did you mean 'occlusion'\?",
        ):
            load_pipeline(changed(file, "evaluation", {"robustness": {"corruptions": ["jpeg", "oclusion"]}}))

    def test_steps_are_put_in_order(self, file: Path) -> None:
        options = [
            "evaluation.robustness.severities=[5, 2, 2]",
            "evaluation.robustness.missing_rates=[1, .5]",
        ]
        robustness = load_pipeline(file, options).evaluation.robustness
        assert (robustness.severities, robustness.missing_rates) == ([2, 5], [0.5, 1])
        assert robustness.corruptions is None

    @pytest.mark.parametrize("rates", [[0.0], [0.5, 1.2], [-0.1], [float("nan")]])
    def test_rates_are_chances(self, file: Path, rates: list[float]) -> None:
        with pytest.raises(ConfigError, match=r"missing_rates.*: .*(above 0 and at most 1|finite)"):
            load_pipeline(changed(file, "evaluation", {"robustness": {"missing_rates": rates}}))

    @pytest.mark.parametrize("severity", [0, 6])
    def test_severities_are_one_to_five(self, file: Path, severity: int) -> None:
        with pytest.raises(ConfigError, match=r"severities.0: \d is not one of: 1, 2, 3, 4, 5"):
            load_pipeline(changed(file, "evaluation", {"robustness": {"severities": [severity]}}))
