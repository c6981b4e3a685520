"""Descriptions of an experiment, a run and a registered model in MLflow, in Markdown."""

from collections.abc import Mapping

from components.config import PipelineConfig
from components.evaluation.results import Evaluation
from components.references import Dataset
from components.results import markdown
from components.targets import Regression

_EXPERIMENT = """\
Runs of **braid**: multimodal models, retrained and compared. A run of `kind` retrain, sweep, distill, score \
or monitor is one flow run; its fits, fusion and trials are nested below it (the + before its name).

VIEWS

**The same names in every run that trained something**

| column | meaning |
|---|---|
| `val_METRIC` | on validation rows, of the epoch whose weights are used; every choice is made by it |
| `test_METRIC`, `…_low`, `…_high` | on test rows, with its bootstrap interval; measured once, at the end |
| `parameters`, `seconds`, `best_epoch` | of a training: trainable parameters, seconds in its epochs, \
epoch whose weights are used |
| `fusion.*`, `training.*`, `inputs.NAME.*`, `seed` | the options, as in the pipeline file |

**In a retraining besides**

| column | meaning |
|---|---|
| `fusion_gain`, `delivered_gain`, `…_low`, `…_high` | fusion, or the delivered model, against the best \
single input on the same rows |
| `fusion_gain_answerable`, `…` | fusion against the best single input on the rows that have this input |
| `champion_gain` | against the champion at that time |
| `subset_A_and_B_METRIC`, `worst_subset_drop` | on rows with only these inputs; the loss by the worst such \
subset |
| `shapley_NAME` | share of an input in the result |
| `calibration_error_before`, `…_after`, `conformal_coverage`, `abstained` | reliability of the \
probabilities |
| `robustness_*`, `missing_*` | under damaged and missing inputs |
| `audit_*` | match of inputs and labels, and rows that train has too |
| `data_*`, `extracted_rows_*` | rows, quarantine, gaps; rows embedded anew |

**Tags**: `config`, `kind` (retrain, single, fusion, alignment, trial, features, student, sweep, ...), \
`fusion`, \
`fusion_helps` (yes, no, unclear), `audit` (good, or what to look at), \
`champion` (yes: now; former: was; no: never), `model_version`, \
`dataset_digest`, `git_commit`, `promotion` (the reason).

**Filters** for the search field

```
tags.kind = 'retrain' and tags.champion = 'yes'
tags.kind = 'retrain' and tags.fusion_helps = 'yes' and metrics.delivered_gain_low > 0.02
tags.kind = 'trial' and tags.fusion = 'gated' and metrics.val_accuracy > 0.9
tags.kind = 'single' and tags.config = 'demo'
```

**A sweep as parallel coordinates**: filter by `tags.kind = 'trial'`, select all, Compare, Parallel \
Coordinates Plot; parameters `fusion.name`, `training.learning_rate`, ... and the metric `val_METRIC`.
"""


def of_experiment(views: Mapping[str, str]) -> str:
    """Describe an experiment: the meaning of its columns and tags, and filters to copy.

    Args:
        views: Address of each view, by its title.
    """
    return _EXPERIMENT.replace("VIEWS", " · ".join(f"[{title}]({at})" for title, at in views.items()))


def of_run(evaluation: Evaluation, decision: str, links: Mapping[str, str]) -> str:
    """Describe a finished retraining.

    Args:
        evaluation: Result of the primary target.
        decision: The version, its alias, and the reason.
        links: Address by its label.
    """
    return "\n\n".join(
        [
            f"{markdown.plain(evaluation.headline)}.",
            f"**{markdown.plain(evaluation.fusion_finding)}**",
            f"{markdown.plain(decision)}.",
            " · ".join(f"[{markdown.plain(name)}]({address})" for name, address in links.items()),
            markdown.table(evaluation.tables()["results"]),
        ]
    )


def of_model(config: PipelineConfig, dataset: Dataset) -> str:
    """Describe a registered model: its targets, its inputs and its use."""
    targets = ", ".join(
        f"`{markdown.plain(target.name)}` (a number)"
        if isinstance(target, Regression)
        else f"`{markdown.plain(target.name)}` ({len(target.classes)} classes: {_some(target.classes)})"
        for target in dataset.targets
    )
    inputs = "\n".join(
        f"- `{name}`: {options.modality}, column{'s' if len(options.columns) > 1 else ''} "
        f"{', '.join(f'`{markdown.plain(column)}`' for column in options.columns)}"
        for name, options in config.inputs.items()
    )
    return "\n\n".join(
        [
            f"Predicts {targets} from any of these inputs, of which a row may lack some:",
            inputs,
            "`@champion` is the version in use: it moves only when a paired test on the same test rows says "
            "so. `@challenger` is the newest that was no dry run. The reason is in each version's "
            "description and its tag `promotion`; who moved the alias and when in `braid.crowned_*`.",
            f"```\nmlflow.pyfunc.load_model('models:/{config.model_name}@champion').predict(rows)\n"
            f"mlflow models serve -m models:/{config.model_name}@champion --env-manager local\n```",
        ]
    )


def _some(names: tuple[str, ...], most: int = 12) -> str:
    shown = ", ".join(map(markdown.plain, names[:most]))
    return f"{shown}, ..." if len(names) > most else shown
