"""Keys of caches follow the code of each step: every encoder, fusion and preprocessor, and the trainings."""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
import torch

from components.config.training import TrainingConfig
from components.data.files.media import inspect
from components.data.sources.embedded import EMBEDDED
from components.distillation.teacher import predict_rows
from components.models.code import classes_of
from components.models.encoders import ENCODERS
from components.models.encoders.composite import Composite
from components.models.encoders.fitted import FitTask, FittedEncoder
from components.models.fusion import FUSIONS, make_fusion
from components.models.networks import Fused, Joint, Single
from components.objectives import ALIGNMENTS, Supervised
from components.pipeline.fit_once import FIT_STEPS
from components.pipeline.train_once import TRAINING
from components.preprocess import PREPROCESSORS
from components.preprocess.composite import pack
from components.preprocess.several import SeveralPreprocessor
from components.storage.closure import Closure, Source, read_source
from components.targets import Targets
from components.training.loop import train
from components.training.mixture import learn_mixture
from components.training.probe import fit_probe
from components.training.stack import held_out, stack
from tests.components.models.encoders import small_fitted as fitted
from tests.components.models.encoders import test_contract as encoders
from tests.components.models.encoders import test_untrained as untrained
from tests.components.models.fusion import small as fusions
from tests.components.preprocess import test_contract as preprocessors
from tests.components.renaming import renamed
from tests.components.small_targets import KINDS, alone
from tests.components.training.conftest import make_xor

Step = Callable[..., Any]
STEPS: dict[str, Sequence[Step]] = {
    **{f"encoder {name}": [build] for name, build in ENCODERS.items()},
    **{f"fusion {name}": [kind, make_fusion] for name, kind in FUSIONS.items()},
    **{f"preprocessor {name}": [kind] for name, kind in PREPROCESSORS.items()},
    "preprocessor of several": [SeveralPreprocessor],
    "packing": [pack],
    "composite": [Composite],
    "mixture": [learn_mixture],
    **{f"training of {network.__name__}": [*TRAINING, network] for network in (Fused, Joint, Single)},
    **{f"alignment {name}": [build] for name, build in ALIGNMENTS.items()},
    "probe": [fit_probe],
    "fit without gradient": [*FIT_STEPS],
    "stack": [stack, held_out],
    "teacher": [predict_rows],
    "media": [inspect],
    **{f"data {name}": [module.generate] for name, module in EMBEDDED.items()},
}
every_step = pytest.mark.parametrize("name", STEPS)


def modules(closure: Closure) -> list[str]:
    """Modules of what a step reaches, without those of packages, whose imports other modules use."""
    names = dict.fromkeys(name.partition(":")[0] for name in closure.definitions())
    sources = ((name, read_source(name)) for name in names)
    return [name for name, source in sources if source is not None and not source.is_package]


def edited(**texts: str) -> Callable[[str], Source | None]:
    """Sources with other texts for some modules."""

    def read(name: str) -> Source | None:
        source = read_source(name)
        return source._replace(text=texts[name]) if source is not None and name in texts else source

    return read


def text(module: str) -> str:
    source = read_source(module)
    assert source is not None
    return source.text


@every_step
def test_other_names_for_local_variables_and_imports_change_nothing(name: str) -> None:
    closure = Closure(*STEPS[name])
    texts = {module: renamed(text(module)) for module in modules(closure)}
    assert any("_renamed" in new for new in texts.values())
    assert Closure(*STEPS[name], read=edited(**texts)).digest() == closure.digest()


def with_a_change(source: str, chosen: Callable[[str], bool]) -> str:
    """A module in which the functions and classes of some names do one thing more."""
    tree = ast.parse(source)
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and chosen(node.name):
            node.body.append(ast.parse("changed = 1").body[0])
    return ast.unparse(tree)


@every_step
def test_a_change_beside_what_a_step_uses_changes_nothing(name: str) -> None:
    closure = Closure(*STEPS[name])
    used = set(closure.definitions())
    texts = {}
    for module in modules(closure):
        texts[module] = with_a_change(text(module), lambda name: f"{module}:{name}" not in used)  # noqa: B023
    assert Closure(*STEPS[name], read=edited(**texts)).digest() == closure.digest()


@every_step
def test_a_change_of_any_module_that_a_step_uses_changes_its_key(name: str) -> None:
    closure = Closure(*STEPS[name])
    used = set(closure.definitions())
    names = modules(closure)
    apart = 1 + len(names) // 6
    for module in names[list(STEPS).index(name) % apart :: apart]:  # of many, for each step others
        changed = with_a_change(text(module), lambda name: f"{module}:{name}" in used)  # noqa: B023
        if "changed = 1" in changed:
            other = Closure(*STEPS[name], read=edited(**{module: changed}))
            assert other.digest() != closure.digest(), module


PREFIX = "components.models.encoders."
CHANGES = {
    "scale of pixels": ("cnn", "127.5", "128.0", {"cnn", "resnet"}),
    "table of categories": ("mlp", "codes.long() + self.offsets", "codes.long()", {"mlp", "ft_transformer"}),
    "floor of spectrograms": ("audio_cnn", "_FLOOR = 1e-6", "_FLOOR = 1e-5", {"audio_cnn", "mfcc"}),
    "hidden layers of mlp": ("mlp", "nn.GELU(), nn.Dropout", "nn.ReLU(), nn.Dropout", {"mlp"}),
    "blocks of transformers": (
        "text_transformer",
        '"gelu"',
        '"relu"',
        {"text_transformer", "ft_transformer"},
    ),
}


@pytest.mark.parametrize("kind", CHANGES)
def test_a_change_changes_the_keys_of_just_the_encoders_that_use_it(kind: str) -> None:
    file, old, new, expected = CHANGES[kind]
    module = PREFIX + file
    assert old in text(module)
    read = edited(**{module: text(module).replace(old, new)})
    changed = {
        name
        for name, build in ENCODERS.items()
        if Closure(build, read=read).digest() != Closure(build).digest()
    }
    assert changed == expected


class Calls:
    """Functions of the project that are called in a ``with`` block, as ``module:definition``."""

    def __init__(self) -> None:
        self.names: set[str] = set()

    def _note(self, frame: FrameType, event: str, argument: Any) -> None:
        module = frame.f_globals.get("__name__", "")
        name = frame.f_code.co_qualname.partition(".")[0]
        if event == "call" and module.startswith("components.") and not name.startswith(("<", "__")):
            self.names.add(f"{module}:{name}")

    def __enter__(self) -> Calls:
        sys.setprofile(self._note)
        return self

    def __exit__(self, *error: object) -> None:
        sys.setprofile(None)


class TestNothingThatRunsIsLeftOut:
    @pytest.mark.parametrize("name", encoders.CASES)
    def test_of_an_encoder(self, name: str) -> None:
        config, modality, batch = encoders.CASES[name]
        with Calls() as calls:
            encoder = ENCODERS[name](config, encoders.Facts(modality))
            encoder(batch())
        assert calls.names <= {*Closure(ENCODERS[name], *classes_of(encoder)).definitions()}
        assert f"{type(encoder).__module__}:{type(encoder).__name__}" in calls.names

    @pytest.mark.parametrize("name", untrained.CASES)
    def test_of_an_encoder_of_which_nothing_is_trained(self, name: str) -> None:
        with Calls() as calls:
            encoder, batch = untrained.build(name, kernel=5)
            encoder(batch)
        own = {call for call in calls.names if call.startswith("components.models.encoders.")}
        assert own <= {*Closure(ENCODERS[name], *classes_of(encoder)).definitions()}
        assert {f"{PREFIX}kernel:Kernel", f"{type(encoder.base).__module__}:{name.title()}"} <= own

    @pytest.mark.parametrize("kind", ["classification", "multilabel", "regression"])
    @pytest.mark.parametrize("name", fitted.FITTED)
    def test_of_a_fit_without_gradient(self, name: str, kind: str) -> None:
        config, modality, _ = fitted.FITTED[name]
        targets = Targets((KINDS[kind],))
        rows, val = (fitted.rows_of(name, targets, 90, seed) for seed in (0, 1))
        with Calls() as calls:
            encoder = ENCODERS[name](config, encoders.Facts(modality))
            assert isinstance(encoder, FittedEncoder)
            head, _ = encoder.fit_rows(FitTask(targets, rows[0], val[0], balanced=True, seed=0))
            head(encoder(val[1]))
        steps = (*FIT_STEPS, ENCODERS[name], *classes_of(encoder))
        calls.names -= {name for name in calls.names if name.startswith("components.targets.")}
        assert calls.names <= {*Closure(*steps).definitions()}
        assert f"{type(encoder).__module__}:{type(encoder).__name__}" in calls.names

    @pytest.mark.parametrize("name", sorted(set(FUSIONS) - {"plugin"}))
    def test_of_a_fusion(self, name: str) -> None:
        embeddings = fusions.embed(4, dict.fromkeys(fusions.WIDTHS, 2))
        with Calls() as calls:
            fusion = make_fusion(FUSIONS[name], fusions.config(name), fusions.WIDTHS, fusions.TARGETS)
            fusion(embeddings, torch.ones(4, 4, dtype=torch.bool))
        assert calls.names <= {*Closure(FUSIONS[name], make_fusion, *classes_of(fusion)).definitions()}

    @pytest.mark.parametrize("name", preprocessors.INPUTS)
    def test_of_a_preprocessor(self, name: str) -> None:
        preprocessor, values = preprocessors.fitted(name), preprocessors.values(name)
        with Calls() as calls:
            preprocessor.collate([preprocessor.canonical(value) for value in values])
        assert calls.names <= {*Closure(type(preprocessor)).definitions()}

    def test_of_a_training(self, tmp_path: Path) -> None:
        config = TrainingConfig(epochs=2, batch_size=8)
        training, validation = make_xor(16, 0), make_xor(16, 1)
        targets = alone(2)
        fusion = make_fusion(FUSIONS["gated"], fusions.config("gated"), {"a": 8, "b": 8}, targets)
        with Calls() as calls:
            network = Fused(fusion, targets)
            objective = Supervised(targets, config, training.targets)
            list(
                train(
                    network,
                    objective,
                    training,
                    validation,
                    config,
                    seed=0,
                    folder=tmp_path,
                    device=torch.device("cpu"),
                    inputs=["a", "b"],
                )
            )
        assert calls.names <= {*Closure(*TRAINING, Fused, FUSIONS["gated"]).definitions()}
        assert "components.training.loop:train" in calls.names
