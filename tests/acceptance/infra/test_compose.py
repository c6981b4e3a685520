"""compose.yaml by the specification's schema, by compose itself where it is here, and by its promises."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema.validators import validator_for

INFRA = Path(__file__).parents[3] / "infra"
TEXTS = {name: (INFRA / name).read_text("utf-8") for name in ("compose.yaml", "compose.gpu.yaml")}
BASE, GPU = (yaml.safe_load(text) for text in TEXTS.values())
SERVICES: dict[str, Any] = {**BASE["services"], "worker-gpu": GPU["services"]["worker-gpu"]}
EXAMPLE = (INFRA / ".env.example").read_text("utf-8")
REQUIRED = sorted(set(re.findall(r"\$\{(\w+):\?", "".join(TEXTS.values()))))
ONCE = {"bucket", "deploy"}
BACKUP = {name for name, service in SERVICES.items() if "backup" in service.get("profiles", [])}


@pytest.mark.parametrize("name", TEXTS)
def test_it_follows_the_compose_specification(name: str) -> None:
    schema = files("check_jsonschema") / "builtin_schemas" / "vendor" / "compose-spec.json"
    known = json.loads(schema.read_text("utf-8"))
    validator = validator_for(known)(known)
    assert [error.message for error in validator.iter_errors(yaml.safe_load(TEXTS[name]))] == []
    wrong = {"services": {"x": {"image": "x", "healthchek": {}}}}
    assert not validator.is_valid(wrong)


def compose(folder: Path, environment: dict[str, str], *more: str) -> subprocess.CompletedProcess[str]:
    """``config`` on both files by the compose that is here, docker's plugin or Debian's docker-compose."""
    plugin = (
        subprocess.run(["docker", "compose", "version"], capture_output=True, check=False)
        if shutil.which("docker")
        else None
    )
    for name, text in TEXTS.items():  # docker-compose 1.29 knows neither of these; the schema does
        (folder / name).write_text(re.sub(r"^name:.*\n|, required: false", "", text, flags=re.MULTILINE))
    command = ["docker", "compose"] if plugin and plugin.returncode == 0 else ["docker-compose"]
    if not shutil.which(command[0]):
        pytest.skip("no docker compose here: run infra/install-test-packages.sh")
    options = [part for name in TEXTS for part in ("--file", str(folder / name))]
    return subprocess.run(
        [*command, *options, *more, "config"],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": str(folder), "COMPOSE_PROJECT_NAME": "braid", **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


FILLED = {name: f"value of {name}" for name in REQUIRED}


def test_compose_reads_it_with_both_workers(tmp_path: Path) -> None:
    done = compose(tmp_path, FILLED, "--profile", "backup", "--profile", "object-store")
    assert done.returncode == 0, done.stderr
    services = yaml.safe_load(done.stdout)["services"]
    assert set(services) == set(SERVICES)
    assert services["deploy"]["environment"]["BRAID_HEAVY_POOL"] == "gpu"
    devices = services["worker-gpu"]["deploy"]["resources"]["reservations"]["devices"]
    assert devices[0]["capabilities"] == ["gpu"]
    assert "5000" in services["mlflow"]["environment"]["MLFLOW_SERVER_ALLOWED_HOSTS"]


@pytest.mark.parametrize("name", REQUIRED)
def test_a_secret_that_is_not_set_stops_it_by_name(name: str, tmp_path: Path) -> None:
    done = compose(tmp_path, {key: value for key, value in FILLED.items() if key != name})
    assert done.returncode != 0
    assert f"Write {name}=" in done.stderr


def test_every_variable_is_in_the_example_and_none_has_a_secret() -> None:
    used = set(re.findall(r"\$\{(\w+)[:}]", "".join(TEXTS.values())))
    assigned = dict(re.findall(r"^#?(\w+)=(.*)$", EXAMPLE, re.MULTILINE))
    assert used | {"COMPOSE_PROFILES"} == set(assigned)  # that one is compose's own
    assert assigned["COMPOSE_PROFILES"] == SERVICES["object-store"]["profiles"][0]
    assert {name for name, value in re.findall(r"^(\w+)=(.*)$", EXAMPLE, re.MULTILINE) if not value} == set(
        REQUIRED
    )


@pytest.mark.parametrize("name", SERVICES)
def test_a_container_can_do_no_more_than_it_has_to(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert ("/tmp:mode=1777" in service["tmpfs"]) != ("/tmp" in service.get("volumes", []))
    assert "privileged" not in service
    assert not any("docker.sock" in str(volume) for volume in service.get("volumes", []))
    assert service["restart"] == {True: "on-failure:3"}.get(
        name in ONCE, "no" if name in BACKUP else "unless-stopped"
    )
    tag = service["image"].partition(":")[2]
    assert tag
    assert tag != "latest"
    assert ("healthcheck" in service) == (name not in ONCE | BACKUP)
    for port in service.get("ports", []):
        assert port.startswith("127.0.0.1:"), "published for other machines"


def test_who_knows_which_secret() -> None:
    """The password of the databases and the key of the bucket stay with those who need them."""

    def know(variable: str) -> set[str]:
        return {
            name
            for name, service in SERVICES.items()
            if any(f"${{{variable}" in str(value) for value in service.get("environment", {}).values())
        }

    assert know("S3_SECRET_KEY") == {
        "object-store",
        "bucket",
        "mlflow",
        "backup-artifacts",
        "restore-artifacts",
    }
    assert know("POSTGRES_PASSWORD") == {"postgres", "backup-databases", "restore-databases"}
    assert know("PREFECT_DATABASE_PASSWORD") == {"postgres", "prefect"}
    assert know("MLFLOW_ADMIN_PASSWORD") == {"mlflow", "deploy"}
    assert know("PREFECT_AUTH") == {"prefect", "deploy", "worker-cpu", "worker-gpu"}


def test_the_gpu_worker_differs_from_the_other_in_what_it_has_to() -> None:
    cpu, gpu = SERVICES["worker-cpu"], SERVICES["worker-gpu"]
    different = {key for key in cpu.keys() | gpu.keys() if cpu.get(key) != gpu.get(key)}
    assert different == {"image", "build", "environment", "deploy", "shm_size"}
    assert cpu["environment"].keys() == gpu["environment"].keys()


def test_files_and_roles_that_it_names_are_there() -> None:
    start = (INFRA / "image/start").read_text("utf-8")
    for name, service in SERVICES.items():
        for volume in service.get("volumes", []):
            if volume.startswith("./"):
                assert (INFRA / volume.split(":")[0]).is_file(), (name, volume)
        command = service.get("command", [])
        if service["image"].startswith("braid:") and len(command) == 1:
            assert f"\n{command[0]})" in start, name
        for part in [*command, *service.get("healthcheck", {}).get("test", [])]:
            if "infra/" in part:
                assert (INFRA / part.split("infra/", 1)[1]).is_file(), (name, part)
