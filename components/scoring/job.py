"""One job of scoring: table, model, folder and result.

A job's folder is named by the digest of everything that its predictions depend on. It contains::

    predictions/part-000000.parquet   rows of one chunk; written when the chunk is done
    quarantine.parquet                unusable inputs, with reasons
    job.json                          the configuration
    done.json                         the totals at the end
"""

from dataclasses import dataclass
from pathlib import Path

from components.config import ConfigError
from components.config.score import ScoreConfig
from components.data.files.location import content_version
from components.data.rows import open_table
from components.storage.atomic import write_json
from components.storage.digest import digest_file, digest_json
from components.storage.names import outside_name

_DIGITS = 12  # digits of the digest in a job's name


@dataclass(frozen=True)
class Model:
    """The model that scores.

    Attributes:
        name: Registered name, or that of a run's model that is not registered.
        version: Version of the registered model; None where it is not registered.
        run: MLflow run that made the model.
        bundle: Folder of the model's bundle.
    """

    name: str
    version: str | None
    run: str
    bundle: str


@dataclass(frozen=True)
class Job:
    """One table scored by one model.

    Attributes:
        key: Name of the folder, which differs by table, model, and options that change predictions.
        folder: Folder that the job writes to.
        config: Configuration of the job.
        model: Model that scores.
    """

    key: str
    folder: str
    config: ScoreConfig
    model: Model

    @property
    def predictions(self) -> Path:
        """Folder of the parts."""
        return Path(self.folder) / "predictions"

    @property
    def quarantine(self) -> Path:
        """Table of unusable inputs."""
        return Path(self.folder) / "quarantine.parquet"

    @property
    def parts(self) -> list[Path]:
        """Files of the predictions written so far, in order."""
        return sorted(self.predictions.glob("part-*.parquet"))


def plan(config: ScoreConfig, model: Model) -> Job:
    """Make a job, or find the one begun earlier.

    Raises:
        DataError: If there is no such table.
        ConfigError: If the folder cannot be written to.
    """
    bundle = Path(model.bundle)
    source = open_table(config.manifest, config.format).source
    out = Path(config.out).expanduser().resolve()
    digest = digest_json(
        {
            "weights": {
                str(file.relative_to(bundle)): digest_file(file)
                for file in sorted(bundle.rglob("*"))
                if file.is_file()
            },
            "model": [model.name, model.version, model.run],
            "manifest": [source, content_version(source)],
            "options": config.model_dump(mode="json", include={"format", "id", "chunk_rows", "explain"}),
            "out": str(out),
        }
    )
    words = [Path(source).name.partition(".")[0] or "table", model.name, model.version, digest[:_DIGITS]]
    key = "-".join(outside_name(word) for word in words if word)
    try:
        (out / key).mkdir(parents=True, exist_ok=True)
        write_json(
            out / key / "job.json",
            {
                "config": config.model_dump(mode="json", exclude={"sql", "table"}),
                "model": {"name": model.name, "version": model.version, "run": model.run},
            },
        )
    except OSError as error:
        raise ConfigError(f"--out {config.out}: cannot be written to: {error.strerror or error}") from error
    return Job(key, str(out / key), config, model)
