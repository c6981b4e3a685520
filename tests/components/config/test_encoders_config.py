"""The forms in which one or several encoders of an input are named."""

from __future__ import annotations

from typing import Any

import pytest

from components.config import PipelineConfig
from components.config.load import configured
from components.errors import ConfigError
from tests.components.conftest import configure


def config(encoder: Any, **changes: Any) -> PipelineConfig:
    values = configure().model_dump(mode="json")
    values["inputs"]["note"]["encoder"] = encoder
    return configured({**values, **changes}, [], "pets.yaml")


def test_a_name_a_section_and_a_list_of_one_are_the_same() -> None:
    assert config("gru") == config({"name": "gru"}) == config(["gru"]) == config([{"name": "gru"}])
    assert not config("gru").inputs["note"].may_have_several


def test_a_list_keeps_its_order_and_is_read_back_from_its_dump() -> None:
    made = config(["gru", {"name": "ngrams", "width": 8}])
    assert [each.name for each in made.inputs["note"].encoders] == ["gru", "ngrams"]
    assert made.inputs["note"].encoders[1].width == 8
    assert PipelineConfig.model_validate(made.model_dump(mode="json")) == made


def test_auto_names_none() -> None:
    section = config("auto").inputs["note"]
    assert (section.encoders, section.may_have_several) == ([], True)


def test_one_encoder_can_take_the_place_of_several() -> None:
    made = config(["gru", "ngrams"])
    one = made.with_encoder("note", made.inputs["note"].encoders[1])
    assert one == config("ngrams")


@pytest.mark.parametrize(
    ("encoder", "changes", "messages"),
    [
        (
            ["gru", "cnn"],
            {},
            ["inputs.note.encoder.encoders.1.name: 'cnn' is not one of: ngrams, "],
        ),
        (["gru", {"name": "gru", "wdth": 3}], {}, ["encoders.1.wdth: unknown option", "'width'?"]),
        (["gru", "gru"], {}, ["gru stands twice with the same options; give each one others"]),
        ([], {}, ["inputs.note.encoder.encoders: []", "at least 2"]),
        (["gru", "ngrams"], {"strategy": "joint"}, ["inputs.note.encoder", "strategy: joint", "Name one"]),
        ("auto", {"joint_epochs": 2}, ["inputs.note.encoder", "joint_epochs", "Name one encoder"]),
        (
            ["gru", "ngrams"],
            {"alignment": {"use": "pretraining"}},
            ["inputs.note.encoder", "'pretraining'", "alignment.use: features"],
        ),
    ],
)
def test_errors_name_place_and_remedy(encoder: Any, changes: dict[str, Any], messages: list[str]) -> None:
    with pytest.raises(ConfigError) as error:
        config(encoder, **changes)
    for message in messages:
        assert message in str(error.value)
