"""Demo data set with several photographs per row and a number to predict: adverts of invented houses.

The photographs are crops of the two that ship with scikit-learn (`load_sample_images`: a temple by Daderot,
a flower by dany13, CC BY 2.0). They stand for views of a house and of its garden. Price, facts and advert
are generated; each input explains a part of the price.
"""

import csv
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_sample_images

VIEWS = ("view_1", "view_2", "view_3", "view_4")
TRAIN, VAL, TEST = 900, 300, 300
MISSING = 0.15  # probability of each view to be missing; of each other input, a third of it
SIDE, CROP = 40, 160  # pixels of a view, and of the crop that is scaled to it

_DISTRICTS = {"harbour": 45.0, "hills": 20.0, "plain": 0.0}
_WORDS = {
    25.0: ("newly built roof", "renovated last year", "new windows"),
    0.0: ("usual condition", "well kept", "as seen"),
    -25.0: ("needs repair", "damp cellar", "old heating"),
}
_NOISE = 10.0


def generate(folder: Path, seed: int) -> None:
    """Write ``manifest.csv`` (id, split, price, view_1 to view_4, rooms, district, advert)."""
    rng = np.random.default_rng(seed)
    photographs = load_sample_images().images  # temple, flower: (427, 640, 3) uint8
    (folder / "views").mkdir(parents=True)
    with (folder / "manifest.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "split", "price", *VIEWS, "rooms", "district", "advert"])
        for number in range(TRAIN + VAL + TEST):
            split = "train" if number < TRAIN else "val" if number < TRAIN + VAL else "test"
            built, light = int(rng.integers(0, len(VIEWS) + 1)), float(rng.uniform(-1, 1))
            rooms, district = int(rng.integers(1, 8)), str(rng.choice(list(_DISTRICTS)))
            condition = float(rng.choice(list(_WORDS)))
            price = 150 + 25 * built + 40 * light + 12 * rooms + _DISTRICTS[district] + condition
            cells = []
            for index in rng.permutation(len(VIEWS)):
                path = f"views/{number:04d}-{index}.jpg"
                view = _view(photographs[0 if index < built else 1], light, rng)
                present = rng.random() >= MISSING
                if present:
                    Image.fromarray(view).save(folder / path, quality=90)
                cells.append(path if present else "")
            facts = [rooms, district] if rng.random() >= MISSING / 3 else ["", ""]
            advert = rng.choice(_WORDS[condition]) if rng.random() >= MISSING / 3 else ""
            price += rng.normal(0, _NOISE)
            writer.writerow([f"{split}-{number:04d}", split, f"{price:.1f}", *cells, *facts, advert])


def _view(photograph: np.ndarray, light: float, rng: np.random.Generator) -> np.ndarray:
    """Crop a random part of a photograph and make it darker or lighter; uint8 (40, 40, 3)."""
    top, left = (int(rng.integers(0, length - CROP)) for length in photograph.shape[:2])
    part = Image.fromarray(photograph[top : top + CROP, left : left + CROP])
    pixels = np.asarray(part.resize((SIDE, SIDE), Image.Resampling.BICUBIC), np.float64)
    return np.clip(pixels * (1 + 0.4 * light), 0, 255).astype(np.uint8)
