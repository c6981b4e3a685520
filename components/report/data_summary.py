"""Summary of the data that a model was trained and judged on."""

import pandas as pd

from components.data.samples import open_samples_table
from components.data.splits import SPLITS
from components.redaction import redacted
from components.references import Dataset
from components.report.content import DataSummary, QuarantineRow
from components.targets import Classification, Multilabel, Regression, cells_of

_QUARANTINE_SHOWN = 50


def summarise(dataset: Dataset) -> DataSummary:
    """Count rows by split, class and missing input, and list the first rows of the quarantine."""
    samples = open_samples_table(dataset).rows()
    target = dataset.targets.primary
    quarantine = pd.read_parquet(dataset.quarantine).head(_QUARANTINE_SHOWN)
    shown = quarantine[["id", "input", "path", "reason"]].fillna("").astype(str)
    return DataSummary(
        source=redacted(dataset.source),
        digest=dataset.digest,
        splits=dataset.splits,
        left_out=dataset.left_out,
        periods=dataset.periods,
        missing=dataset.missing,
        class_rows={} if isinstance(target, Regression) else _class_rows(target, samples),
        quarantined=dataset.quarantined,
        quarantine=tuple(QuarantineRow(*map(redacted, row)) for row in shown.to_numpy().tolist()),
        readings=dataset.readings,
        findings=tuple(map(redacted, dataset.findings)),
    )


def _class_rows(target: Classification | Multilabel, samples: pd.DataFrame) -> dict[str, dict[str, int]]:
    """Rows of each class or label, by split."""
    values = target.encode(cells_of(samples, target.name))
    counts = {}
    for column, name in enumerate(target.classes):
        has_class = values == column if values.ndim == 1 else values[:, column] > 0.5
        counts[name] = {split: int(has_class[samples["split"] == split].sum()) for split in SPLITS}
    return counts
