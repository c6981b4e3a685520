"""One figure a sample: the share of each input, and what was decisive inside it."""

from __future__ import annotations

import io
import re

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from PIL import Image

from components.evaluation.style import GREEN, INK, RED, new_figure, short, sober
from components.explanations.heatmap import overlay
from components.explanations.results import ExplainedSample, Explanations, Inside

_PANEL = (2.5, 2.6)  # inches
_MOST = 12  # bars
_UNSAFE = re.compile(r"[^\w.-]+")


def explanation_figures(found: Explanations) -> dict[str, Figure]:
    """A figure for each sample, by file name without ending."""
    return {
        f"explanations/{sample.kind}-{place:02d}-{_UNSAFE.sub('_', sample.id)[:60]}": sample_figure(sample)
        for place, sample in enumerate(found.samples, start=1)
    }


def sample_figure(sample: ExplainedSample) -> Figure:
    """A panel for the shares and one for each input that is there."""
    figure = new_figure(_PANEL[0] * (1 + len(sample.inside)), _PANEL[1])
    first, *panels = figure.subplots(1, 1 + len(sample.inside), squeeze=False)[0]
    _bars(first, list(sample.shares), list(sample.shares.values()))
    _title(first, "share of each input")
    for axes, (name, inside) in zip(panels, sample.inside.items(), strict=True):
        if inside.grid:
            _heat(axes, inside)
        else:
            _strongest_parts(axes, inside)
        _title(axes, f"{short(name, 16)}, strongest {inside.strongest:+.3f}")
    figure.suptitle(
        f"{short(sample.id, 30)}: {short(sample.predicted, 20)}, in truth {short(sample.label, 20)}",
        fontsize=10,
        color=INK,
        parse_math=False,
    )
    return figure


def _heat(axes: Axes, inside: Inside) -> None:
    picture = np.asarray(Image.open(io.BytesIO(inside.picture)).convert("RGB"))
    width, height = (
        (inside.seconds, 1.0) if inside.seconds else (float(picture.shape[1]), float(picture.shape[0]))
    )
    for layer in (picture, overlay(inside.grid, inside.strongest)):
        axes.imshow(layer, extent=(0, width, 0, height), aspect="auto" if inside.seconds else "equal")
    axes.tick_params(length=0, labelsize=8, labelcolor=INK)
    axes.set_yticks([])
    if inside.seconds:
        axes.set_xlabel("seconds", color=INK, fontsize=8)
        axes.set_ylabel(f"0 to {inside.hertz / 1000:g} kHz (mel)", color=INK, fontsize=8)
    else:
        axes.set_xticks([])


def _strongest_parts(axes: Axes, inside: Inside) -> None:
    parts = [(part.name or part.text, part.effect) for part in inside.effects if part.effect is not None]
    kept = sorted(sorted(range(len(parts)), key=lambda place: -abs(parts[place][1]))[:_MOST])
    _bars(axes, [parts[place][0] for place in kept], [parts[place][1] for place in kept])


def _bars(axes: Axes, names: list[str], values: list[float]) -> None:
    places = range(len(names))
    axes.barh(places, values, height=0.65, color=[GREEN if value > 0 else RED for value in values])
    axes.axvline(0, color=INK, linewidth=0.8)
    sober(axes)
    axes.set_yticks(places, [short(name, 14) for name in names], fontsize=8, parse_math=False)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.grid(axis="y", visible=False)
    axes.spines["left"].set_visible(False)
    axes.xaxis.set_major_locator(MaxNLocator(3))
    axes.tick_params(labelsize=8)


def _title(axes: Axes, text: str) -> None:
    axes.set_title(text, fontsize=9, color=INK, parse_math=False)
