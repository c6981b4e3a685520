"""Containers publish to this machine alone, without root. For servers: infra/lint/forbidden.py."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[3]
INFRA = ROOT / "infra"


def test_compose_publishes_to_this_machine_alone() -> None:
    services = yaml.safe_load((INFRA / "compose.yaml").read_text("utf-8"))["services"]
    ports = [str(port) for service in services.values() for port in service.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_containers_are_not_root_and_cannot_write_their_root() -> None:
    services = yaml.safe_load((INFRA / "compose.yaml").read_text("utf-8"))["services"]
    for name, service in services.items():
        assert service.get("read_only") is True, name
        assert "no-new-privileges:true" in service.get("security_opt", []), name
        assert str(service.get("user", "10001")).partition(":")[0] not in ("0", "root"), name
    users = re.findall(r"^USER (\S+)", (INFRA / "Dockerfile").read_text("utf-8"), re.MULTILINE)
    assert users
    assert users[-1].partition(":")[0] not in ("0", "root")


def test_kubernetes_forbids_root_and_writing() -> None:
    folder = INFRA / "kubernetes"
    documents = [
        document
        for path in folder.rglob("*.yaml")
        for document in yaml.safe_load_all(path.read_text("utf-8"))
        if isinstance(document, dict)
    ]
    namespace = next(each for each in documents if each.get("kind") == "Namespace")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    kinds = ("Deployment", "StatefulSet", "Job")
    pods = [each["spec"]["template"]["spec"] for each in documents if each.get("kind") in kinds]
    containers = [container for pod in pods for container in pod.get("containers", [])]
    assert len(containers) >= 4
    for container in containers:
        if "image" in container:
            assert container["securityContext"]["readOnlyRootFilesystem"] is True, container["name"]
