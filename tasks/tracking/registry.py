"""Logged models and their versions in the registry."""

from dataclasses import dataclass
from importlib.metadata import version as installed
from pathlib import Path

import mlflow
import pandas as pd
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema, TensorSpec
from mlflow.types.schema import AnyType

import components
from components.config import PipelineConfig, TrackingConfig
from components.errors import ModelError
from components.inference.predictor import Predictor
from components.pipeline.basis import LIBRARIES
from components.storage.atomic import replacing
from components.storage.digest import digest
from tasks.context import Context
from tasks.tracking import runs

CHAMPION, CHALLENGER = "champion", "challenger"
_MODEL_TAG = "braid.model_uri"
_PACKAGES = [*LIBRARIES, "pydantic", "fsspec", "filelock", "pyyaml"]


@dataclass(frozen=True)
class Version:
    """A registered model version.

    Attributes:
        name: Name of the registered model.
        version: Number, as text.
        run: Id of its MLflow run.
        uri: ``models:/name/version``.
    """

    name: str
    version: str
    run: str

    @property
    def uri(self) -> str:
        return f"models:/{self.name}/{self.version}"

    @property
    def label(self) -> str:
        """Name of the version in a verdict."""
        return f"version {self.version}"


def log_model(context: Context, example: pd.DataFrame) -> str:
    """Log the bundle as pyfunc with signature and input example, once; return its URI."""
    client = runs.connect(context.tracking)
    known = client.get_run(context.mlflow_run).data.tags.get(_MODEL_TAG)
    if known:
        return known
    output = Predictor(context.bundle, "cpu").predict(example)
    with mlflow.start_run(run_id=context.mlflow_run, log_system_metrics=False):
        info = mlflow.pyfunc.log_model(
            name="model",
            python_model=str(Path(__file__).with_name("pyfunc.py")),
            artifacts={"bundle": str(context.bundle)},
            code_paths=[str(Path(components.__file__).parent)],
            signature=signature(context.config, output),
            input_example=example,
            pip_requirements=_requirements(),
            metadata={"pipeline": context.config.name, "run": context.key},
        )
        uri = str(info.model_uri)
        client.set_tag(context.mlflow_run, _MODEL_TAG, uri)
    client.update_run(context.mlflow_run, "RUNNING")  # the end of the block has ended it
    return uri


def register(
    context: Context, uri: str, about: str, description: str, tags: dict[str, str], challenge: bool = True
) -> Version:
    """Register the logged model, once, with alias ``challenger`` unless ``challenge`` is False.

    Args:
        context: The run.
        uri: URI of the logged model.
        about: Description of the registered model, if it has none yet.
        description: Description of the version.
        tags: Tags of the version.
        challenge: True to move the alias.
    """
    client = runs.connect(context.tracking)
    name = context.config.model_name
    try:
        client.create_registered_model(name, description=about)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
        if not client.get_registered_model(name).description:
            client.update_registered_model(name, about)
    version = _own_version(client, name, context.mlflow_run)
    if version is None:
        made = client.create_model_version(
            name,
            uri,
            context.mlflow_run,
            tags=tags,
            description=description,
            model_id=uri.removeprefix("models:/"),  # a server needs it, to allow the source
        ).version
        version = _own_version(client, name, context.mlflow_run) or str(made)
    if challenge:
        client.set_registered_model_alias(name, CHALLENGER, version)
    return Version(name, str(version), context.mlflow_run)


def _own_version(client: MlflowClient, name: str, run: str) -> str | None:
    """Return the version of a registered model that a run has made; None if it has made none.

    Later ones are deleted: a server makes them when its response is lost and the client repeats the request.
    """
    made = client.search_model_versions(f"name = '{name}'")
    own = sorted((each for each in made if each.run_id == run), key=lambda each: int(each.version))
    for twin in own[1:]:
        client.delete_model_version(name, str(twin.version))
    return str(own[0].version) if own else None


def champion(at: TrackingConfig, name: str) -> Version | None:
    """Return the version of a registered model with the alias ``champion``; None if there is none."""
    return find(at, f"models:/{name}@{CHAMPION}")


def find(at: TrackingConfig, uri: str) -> Version | None:
    """Return the version of ``models:/NAME@ALIAS`` or ``models:/NAME/VERSION``; None if there is none."""
    client = runs.connect(at)
    name = uri.removeprefix("models:/")
    try:
        if "@" in name:
            version = client.get_model_version_by_alias(*name.split("@", 1))
        else:
            version = client.get_model_version(*name.rsplit("/", 1))
    except MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return None
        raise
    return Version(version.name, str(version.version), str(version.run_id))


def versions(at: TrackingConfig, name: str) -> list[str]:
    """List the numbers of a registered model's versions, the oldest first."""
    entities = runs.connect(at).search_model_versions(f"name = '{name}'")
    return sorted((str(each.version) for each in entities), key=int)


def registered(at: TrackingConfig) -> str:
    """Name the registry and its models, for messages."""
    known = ", ".join(sorted(each.name for each in runs.connect(at).search_registered_models()))
    return f"{at.registry_uri or at.tracking_uri}; registered models: {known or 'none'}"


def download_bundle(at: TrackingConfig, uri: str, to: Path) -> Path:
    """Fetch a logged model's bundle into ``to``; return its folder."""
    runs.connect(at)
    folder = Path(mlflow.artifacts.download_artifacts(uri, dst_path=str(to)))
    return next(folder.rglob("model.json")).parent


def bundle_file(at: TrackingConfig, version: Version, file: str, to: Path) -> Path | None:
    """Fetch one file of the bundle of a version into ``to``; None without such a file."""
    runs.connect(at)
    folder = f"{version.uri}/artifacts/bundle"
    known = mlflow.artifacts.list_artifacts(folder)
    if file not in [Path(each.path).name for each in known]:
        return None
    return Path(mlflow.artifacts.download_artifacts(f"{folder}/{file}", dst_path=str(to)))


def cached_bundle(at: TrackingConfig, uri: str, folder: Path) -> Path:
    """Return the folder of a logged model's bundle below ``folder``; fetch the bundle the first time."""
    cache = folder / digest(str(at.registry_uri or at.tracking_uri), uri)
    if not cache.exists():
        with replacing(cache) as temporary:
            temporary.mkdir(parents=True)
            download_bundle(at, uri, temporary)
    return next(cache.rglob("model.json")).parent


def find_model(at: TrackingConfig, name: str) -> str:
    """Find a logged model by its name or run; return its URI.

    Args:
        at: Settings of MLflow.
        name: A registered model, which stands for its champion; ``name/version`` or ``name@alias``; any of
            these behind ``models:/``; or a run: its id, key or name, or ``last``.

    Raises:
        ModelError: If there is none; lists the registered models.
    """
    client = runs.connect(at)
    run = None if "/" in name or "@" in name else runs.find_run(at, name)
    if run is not None:
        if _MODEL_TAG in run.data.tags:
            return run.data.tags[_MODEL_TAG]
        raise ModelError(f"run {name!r} has logged no model (it is {run.info.status.lower()})")
    plain = name.removeprefix("models:/")
    model, _, alias = plain.partition("@")
    try:
        version = (
            client.get_model_version(*plain.split("/", 1))
            if "/" in plain
            else client.get_model_version_by_alias(model, alias or CHAMPION)
        )
    except MlflowException as error:
        raise ModelError(f"there is no model and no run {name!r} in {registered(at)}") from error
    return f"models:/{version.name}/{version.version}"


def source(at: TrackingConfig, uri: str) -> Version:
    """Return the registered version behind a URI of :func:`find_model`.

    A model that is not registered has an empty version and the name of its run.
    """
    client = runs.connect(at)
    name, _, version = uri.removeprefix("models:/").partition("/")
    if version:
        entity = client.get_model_version(name, version)
        return Version(entity.name, str(entity.version), str(entity.run_id))
    run = str(client.get_logged_model(name).source_run_id)
    versions = client.search_model_versions(f"run_id = '{run}'")
    if versions:
        return Version(versions[0].name, str(versions[0].version), run)
    return Version(str(client.get_run(run).info.run_name), "", run)


def signature(config: PipelineConfig, output: pd.DataFrame) -> ModelSignature:
    """Describe the columns that the model takes, all optional, and those that it returns."""
    # A type that MLflow demands would refuse rows: without any text pandas makes a column of numbers.
    names = dict.fromkeys(column for options in config.inputs.values() for column in options.columns)
    columns: list[ColSpec | TensorSpec] = [ColSpec(AnyType(), name, required=False) for name in names]
    outputs: list[ColSpec | TensorSpec] = [
        ColSpec({"f": "double", "b": "boolean"}.get(kind.kind, "string"), str(name), required=False)
        for name, kind in output.dtypes.items()
    ]
    params = [ParamSpec("inputs", "string", ""), ParamSpec("explain", "boolean", False)]
    return ModelSignature(Schema(columns), Schema(outputs), ParamSchema(params))


def _requirements() -> list[str]:
    return [f"{name}=={installed(name)}" for name in _PACKAGES]
