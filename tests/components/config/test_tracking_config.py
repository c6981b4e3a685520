"""mlflow.yaml: what it leaves open, and who wins."""

from __future__ import annotations

from pathlib import Path

import pytest

from components.config import ConfigError, load_tracking

ROOT = Path(__file__).parents[3]


def write(folder: Path, text: str) -> Path:
    path = folder / "mlflow.yaml"
    path.write_text(text, "utf-8")
    return path


@pytest.mark.parametrize("path", [None, Path("no-such-file.yaml"), ROOT / "mlflow.yaml"])
def test_by_default_runs_and_artifacts_lie_in_the_workspace(tmp_path: Path, path: Path | None) -> None:
    config = load_tracking(path, tmp_path)
    assert config.tracking_uri == f"sqlite:///{tmp_path}/mlflow.db"
    assert config.artifact_location == (tmp_path / "mlartifacts").as_uri()
    assert config.registry_uri is None
    assert config.experiment == "braid"
    assert config.system_metrics


def test_an_empty_file_means_all_defaults(tmp_path: Path) -> None:
    assert load_tracking(write(tmp_path, "# nothing\n"), tmp_path) == load_tracking(None, tmp_path)


def test_the_file_is_followed(tmp_path: Path) -> None:
    text = "tracking_uri: http://mlflow:5000\nexperiment: birds\ntags: {team: fun}\nsystem_metrics: false\n"
    config = load_tracking(write(tmp_path, text), tmp_path)
    assert (config.tracking_uri, config.experiment) == ("http://mlflow:5000", "birds")
    assert config.tags == {"team": "fun"}
    assert not config.system_metrics
    assert config.artifact_location is None, "a server decides on its own where artifacts go"


def test_an_artifact_location_of_the_file_stays_with_the_local_database(tmp_path: Path) -> None:
    config = load_tracking(write(tmp_path, "artifact_location: s3://bucket/runs\n"), tmp_path)
    assert config.artifact_location == "s3://bucket/runs"
    assert str(config.tracking_uri).startswith("sqlite:///")


def test_the_environment_wins_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, "tracking_uri: http://a\nregistry_uri: http://b\nexperiment: c\n")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://x")
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", "http://y")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "z")
    monkeypatch.setenv("BRAID_MLFLOW_PAGE_URL", "https://w")
    config = load_tracking(path, tmp_path)
    assert config.page_url == "https://w"
    assert (config.tracking_uri, config.registry_uri, config.experiment) == ("http://x", "http://y", "z")


def test_an_empty_variable_does_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "")
    assert load_tracking(None, tmp_path).experiment == "braid"


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        (b"tracking_url: x\n", "tracking_url: unknown option; expected one of: tracking_uri"),
        (b"tracking_url: x\n", "Did you mean 'tracking_uri'?"),
        (b"experiment: [a]\n", "experiment: ['a']:"),
        (b"- a\n", "expected a mapping with tracking_uri, experiment, ...; found list"),
        (b"a: [\n", "not valid YAML"),
        (b"experiment: \xff\n", "not a text file in UTF-8"),
        (b"experiment: a\nexperiment: b\n", "'experiment' is repeated"),
    ],
)
def test_a_fault_is_told_with_the_files_name(tmp_path: Path, content: bytes, wanted: str) -> None:
    path = tmp_path / "mlflow.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        load_tracking(path, tmp_path)
    assert str(caught.value).startswith(str(path))
    assert wanted in str(caught.value)
