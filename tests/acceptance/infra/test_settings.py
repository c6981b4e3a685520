"""Variables named in infra/ are read by somebody. A misspelt one would do nothing, and say nothing."""

from __future__ import annotations

import re
from pathlib import Path

import mlflow.environment_variables
from prefect.settings import Settings
from prefect.settings.legacy import _get_valid_setting_names
from prefect_kubernetes.settings import KubernetesSettings

ROOT = Path(__file__).parents[3]
INFRA = ROOT / "infra"
FILES = [
    path
    for path in INFRA.rglob("*")
    if path.is_file() and path.suffix not in (".pyc", ".example") and path.name != "secrets.env"
]
OURS = {  # of infra/.env and secrets.env; what reads them is compose and Kustomize
    *re.findall(r"^#?(\w+)=", (INFRA / ".env.example").read_text("utf-8"), re.MULTILINE),
    "PREFECT_DATABASE_PASSWORD",
    "MLFLOW_DATABASE_PASSWORD",
}


def named(prefix: str) -> set[str]:
    """Variables that the files name, less those that only they read."""
    text = "\n".join(path.read_text("utf-8") for path in FILES)
    own = {f"{prefix}_PORT", "MLFLOW_WORKERS"}  # the first is in a comment on Kubernetes' service links
    return set(re.findall(rf"\b{prefix}_\w+\b(?!\*)", text)) - OURS - own


def test_prefect_reads_what_is_set_for_it() -> None:
    known = _get_valid_setting_names(Settings) | _get_valid_setting_names(KubernetesSettings)
    names = named("PREFECT")
    assert len(names) > 10
    assert names - set(known) == set()


def test_mlflow_reads_what_is_set_for_it() -> None:
    from mlflow.cli import server  # it imports MLflow's whole server, which takes seconds

    variables = {getattr(value, "name", None) for value in vars(mlflow.environment_variables).values()}
    options = {str(option.envvar) for option in server.params if getattr(option, "envvar", None)}
    names = named("MLFLOW")
    assert len(names) > 8
    assert names - variables - options == set()


def test_braid_reads_what_is_set_for_it() -> None:
    code = "\n".join(
        path.read_text("utf-8")
        for folder in (
            "components",
            "tasks",
            "flows",
            "infra/image",
            "infra/work-pools",
            "infra/object-store",
        )
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and path.suffix in (".py", "")
    )
    read = set(re.findall(r"\bBRAID_\w+", code)) | {"BRAID_CPU_IMAGE", "BRAID_GPU_IMAGE"}
    assert named("BRAID") - read == set()
