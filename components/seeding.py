"""Seeds of the parts of a run."""

import numpy as np

from components.storage.digest import digest


def seed_of(seed: int, *purpose: str) -> int:
    """A seed for one purpose, so that adding another draw elsewhere changes nothing here."""
    return int(np.random.SeedSequence([seed, int(digest(*purpose)[:8], 16)]).generate_state(1, np.uint32)[0])
