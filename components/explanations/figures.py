"""One figure per sample: the share of each input, and what was decisive inside it."""

import io

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from PIL import Image

from components.evaluation.style import GREEN, INK, RED, new_figure, short, sober
from components.explanations.heatmap import overlay
from components.explanations.results import ExplainedSample, Explanations, Heatmap, Inside
from components.storage.names import outside_name

_PANEL = (2.5, 2.6)  # inches
_MOST = 12  # bars


def explanation_figures(explanations: Explanations) -> dict[str, Figure]:
    """Draw a figure for each sample, by file name without ending."""
    return {
        f"explanations/{sample.kind}-{number:02d}-{outside_name(sample.id)}": sample_figure(sample)
        for number, sample in enumerate(explanations.samples, start=1)
    }


def sample_figure(sample: ExplainedSample) -> Figure:
    """Draw a panel for the shares, and one for each heatmap, text or table of the present inputs."""
    panels: list[tuple[str, Inside, Heatmap | None]] = [
        (name, inside, heatmap)
        for name, inside in sample.inside.items()
        for heatmap in inside.heatmaps or [None]
    ]
    figure = new_figure(_PANEL[0] * (1 + len(panels)), _PANEL[1])
    first, *others = figure.subplots(1, 1 + len(panels), squeeze=False)[0]
    _bars(first, list(sample.shares), list(sample.shares.values()))
    _title(first, "share of each input")
    for axes, (name, inside, heatmap) in zip(others, panels, strict=True):
        if heatmap is None:
            _strongest_parts(axes, inside)
            _title(axes, f"{short(name, 16)}, strongest {inside.strongest:+.3f}")
        else:
            _heat(axes, heatmap, inside.strongest)
            title = heatmap.column if inside.several else name
            _title(axes, f"{short(title, 16)}, strongest {heatmap.strongest:+.3f}")
    figure.suptitle(
        f"{short(sample.id, 30)}: {short(sample.predicted, 20)}, in truth {short(sample.label, 20)}",
        fontsize=10,
        color=INK,
        parse_math=False,
    )
    return figure


def _heat(axes: Axes, heatmap: Heatmap, strongest: float) -> None:
    pixels = np.asarray(Image.open(io.BytesIO(heatmap.image)).convert("RGB"))  # (H, W, 3)
    width, height = (
        (heatmap.seconds, 1.0) if heatmap.seconds else (float(pixels.shape[1]), float(pixels.shape[0]))
    )
    for layer in (pixels, overlay(heatmap.grid, strongest)):
        axes.imshow(layer, extent=(0, width, 0, height), aspect="auto" if heatmap.seconds else "equal")
    axes.tick_params(length=0, labelsize=8, labelcolor=INK)
    axes.set_yticks([])
    if heatmap.seconds:
        axes.set_xlabel("seconds", color=INK, fontsize=8)
        axes.set_ylabel(f"0 to {heatmap.hertz / 1000:g} kHz (mel)", color=INK, fontsize=8)
    else:
        axes.set_xticks([])


def _strongest_parts(axes: Axes, inside: Inside) -> None:
    parts = [(part.name or part.text, part.effect) for part in inside.effects if part.effect is not None]
    strongest = sorted(range(len(parts)), key=lambda part: -abs(parts[part][1]))[:_MOST]
    shown = [parts[part] for part in sorted(strongest)]
    _bars(axes, [name for name, _ in shown], [effect for _, effect in shown])


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
