"""Values that ``quality`` gives to options which a pipeline file leaves open."""

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from pydantic import BaseModel

Quality = Literal["fast", "good", "best"]

_FAST_TRAINING = {"epochs": 12, "patience": 3}
_BEST_TRAINING = {"epochs": 60, "patience": 15}
PRESETS: dict[str, dict[str, Any]] = {
    "fast": {
        "training": _FAST_TRAINING,
        "evaluation": {
            "robustness": {"rows": 50, "severities": [3], "missing_rates": [0.5]},
            "explanations": {"samples": 1, "detail": 16},
        },
        "audit": {"rows": 1000, "folds": 3},
    },
    "good": {},
    "best": {"training": _BEST_TRAINING},
}
"""Sections of a pipeline file by quality; ``good`` is the default of every option."""
FITS: dict[str, dict[str, Any]] = {"fast": _FAST_TRAINING, "good": {}, "best": _BEST_TRAINING}
"""Section ``fit`` of each input by quality."""


def with_preset(values: Mapping[str, Any]) -> dict[str, Any]:
    """Fill the options that are open in the values of a pipeline file by those of its quality.

    Args:
        values: Values of a file before their check, or sections that are checked already.

    Returns:
        A copy, unchanged where the quality is not one of :data:`PRESETS`.
    """
    quality = values.get("quality", "good")
    if not isinstance(quality, str) or quality not in PRESETS:
        return dict(values)
    result: dict[str, Any] = _filled(values, PRESETS[quality])
    inputs = result.get("inputs")
    if FITS[quality] and isinstance(inputs, Mapping):
        result["inputs"] = {name: _filled(each, {"fit": FITS[quality]}) for name, each in inputs.items()}
    return result


def preset_of(config: BaseModel) -> dict[str, Any]:
    """List the options that have the value which the quality of a pipeline gives, by path.

    Args:
        config: The checked pipeline.
    """
    values = config.model_dump(mode="json")
    chosen = dict(_paths(PRESETS[values["quality"]]))
    for name in values["inputs"]:
        chosen |= dict(_paths(FITS[values["quality"]], f"inputs.{name}.fit."))
    return {path: value for path, value in chosen.items() if _at(values, path) == value}


def _filled(section: Any, preset: Mapping[str, Any]) -> Any:
    """Give a section the values of a preset where it has none."""
    if isinstance(section, BaseModel):
        changes = {
            name: _filled(getattr(section, name), value) if isinstance(value, Mapping) else value
            for name, value in preset.items()
            if isinstance(value, Mapping) or name not in section.model_fields_set
        }
        return section.model_copy(update=changes)
    if not isinstance(section, Mapping):
        return section
    result = dict(section)
    for name, value in preset.items():
        if isinstance(value, Mapping):
            result[name] = _filled(result.get(name, {}), value)
        else:
            result.setdefault(name, value)
    return result


def _paths(preset: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in preset.items():
        if isinstance(value, Mapping):
            yield from _paths(value, f"{before}{name}.")
        else:
            yield before + name, value


def _at(values: Any, path: str) -> Any:
    for name in path.split("."):
        values = values.get(name) if isinstance(values, Mapping) else None
    return values
