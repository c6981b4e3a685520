"""How many samples are looked into, and how closely."""

from __future__ import annotations

from pydantic import Field

from components.config.section import Section


class ExplanationsConfig(Section):
    """What is decisive inside the inputs of some test rows."""

    samples: int = Field(
        3,
        ge=0,
        description="Samples with the highest loss that are looked into, and as many typical right ones; "
        "0 looks into none.",
    )
    detail: int = Field(
        64,
        ge=16,
        le=4096,
        description="Most parts of an input: 64 are 8 × 8 regions of a picture, 16 stretches of time × 4 "
        "bands of a sound, 64 words or columns. The model is asked about once for each part, for columns 24 "
        "times.",
    )
