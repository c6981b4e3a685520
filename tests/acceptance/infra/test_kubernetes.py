"""Objects that Kustomize makes, one by one, and the jobs that the work pools' templates make."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import FlowRun
from prefect.workers.process import ProcessJobConfiguration
from prefect_kubernetes.worker import KubernetesWorkerJobConfiguration

from tests.acceptance.infra.kubernetes_schema import faults

INFRA = Path(__file__).parents[3] / "infra"
Resource = dict[str, Any]
SECRETS = [
    line.partition("=")[0]
    for line in (INFRA / "kubernetes/cpu/secrets.env.example").read_text("utf-8").splitlines()
]
NOBODY = PrefectClient("http://127.0.0.1:9/api")  # is not asked: no template refers to what a server knows
pytestmark = pytest.mark.skipif(
    not shutil.which("kubectl"), reason="kubectl, which has Kustomize, is not here"
)


@pytest.fixture(scope="module", params=["cpu", "gpu"])
def resources(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[Resource]:
    """All objects of an overlay, with secrets as a user fills them in."""
    copy = tmp_path_factory.mktemp("kustomize") / "infra"
    shutil.copytree(INFRA, copy)
    secrets = "".join(f"{name}=value of {name}\n" for name in SECRETS)
    (copy / "kubernetes/cpu/secrets.env").write_text(secrets)
    command = ["kubectl", "kustomize", str(copy / "kubernetes" / request.param)]
    made = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert made.returncode == 0, made.stderr
    return list(yaml.safe_load_all(made.stdout))


def pods(resources: list[Resource]) -> Iterator[tuple[str, Resource]]:
    """Names and pod templates of all that makes pods."""
    for each in resources:
        if "template" in each.get("spec", {}):
            yield f"{each['kind']}/{each['metadata']['name']}", each["spec"]["template"]


def named(resources: list[Resource], kind: str) -> dict[str, Resource]:
    return {each["metadata"]["name"]: each for each in resources if each["kind"] == kind}


def containers(pod: Resource) -> list[Resource]:
    return [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]


def test_the_validator_finds_what_is_wrong() -> None:
    port = {"containerPort": "80"}
    wrong = {"nam": "a", "ports": [port], "resources": {"limits": {"memory": "2GB"}}}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, "spec": {"containers": [wrong]}}
    assert faults(pod) == [
        "Pod/x.spec.containers[0].nam: V1Container has no such field",
        "Pod/x.spec.containers[0].ports[0].containerPort: '80', expected int",
        "Pod/x.spec.containers[0].resources.limits.memory: '2GB' is no quantity",
        "Pod/x.spec.containers[0]: Invalid value for `name`, must not be `None`",
    ]
    assert faults({"apiVersion": "apps/v1", "kind": "Podd"}) == ["apps/v1 Podd: Kubernetes has no such kind"]


def test_every_object_is_valid_and_in_the_namespace(resources: list[Resource]) -> None:
    assert [fault for each in resources for fault in faults(each)] == []
    assert {each["metadata"].get("namespace") for each in resources if each["kind"] != "Namespace"} == {
        "braid"
    }
    names = [(each["kind"], each["metadata"]["name"]) for each in resources]
    assert len(names) == len(set(names))


def contained(name: str, pod: Resource) -> None:
    """Kubernetes' pod security standard "restricted", and more."""
    security = pod["spec"]["securityContext"]
    assert security["runAsNonRoot"] is True, name
    assert security["runAsUser"] > 0, name
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}, name
    for container in containers(pod):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }, name
        assert container["resources"]["limits"]["memory"], name
        assert {"cpu", "memory"} <= set(container["resources"]["requests"]), name
        assert ":" in container["image"].rpartition("/")[2], name
        assert not container["image"].endswith(":latest"), name
        mounted = {mount["name"] for mount in container["volumeMounts"]}
        assert mounted <= {volume["name"] for volume in pod["spec"].get("volumes", [])} | {"data"}, name


def test_pods_have_no_more_rights_than_they_need(resources: list[Resource]) -> None:
    for name, pod in pods(resources):
        contained(name, pod)
        token = pod["spec"].get("automountServiceAccountToken", True)
        assert token == name.startswith("Deployment/worker"), name
    (role,) = named(resources, "Role").values()
    allowed = {
        (resource, verb) for rule in role["rules"] for resource in rule["resources"] for verb in rule["verbs"]
    }
    assert {("jobs", "create"), ("jobs", "delete"), ("pods", "watch"), ("pods/log", "get")} <= allowed
    assert not {resource for resource, _ in allowed} & {"secrets", "*", "pods/exec"}
    assert not {"*", "escalate", "impersonate"} & {verb for _, verb in allowed}
    assert "ClusterRole" not in {each["kind"] for each in resources}
    labels = named(resources, "Namespace")["braid"]["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


def test_servers_and_workers_are_probed(resources: list[Resource]) -> None:
    for name, pod in pods(resources):
        if not name.startswith("Job/"):
            (container,) = pod["spec"]["containers"]
            assert {"startupProbe", "livenessProbe"} <= set(container), name
            ports = {port["name"] for port in container["ports"]}
            probed = {
                container[probe].get("httpGet", {}).get("port") for probe in ("startupProbe", "livenessProbe")
            }
            assert probed <= ports | {None}, name


def test_whatever_is_named_is_there(resources: list[Resource]) -> None:
    """Keys of secrets and maps, accounts, volumes, and services with pods behind them."""
    secrets = {name: set(each["data"]) for name, each in named(resources, "Secret").items()}
    maps = {name: set(each["data"]) for name, each in named(resources, "ConfigMap").items()}
    accounts = set(named(resources, "ServiceAccount"))
    claims = set(named(resources, "PersistentVolumeClaim"))
    for name, pod in pods(resources):
        assert pod["spec"].get("serviceAccountName") in accounts | {None}, name
        for volume in pod["spec"].get("volumes", []):
            assert volume.get("configMap", {}).get("name") in set(maps) | {None}, name
            assert volume.get("persistentVolumeClaim", {}).get("claimName") in claims | {None}, name
        for variable in [each for part in containers(pod) for each in part.get("env", [])]:
            source = variable.get("valueFrom", {})
            for kind, known in (("secretKeyRef", secrets), ("configMapKeyRef", maps)):
                if kind in source:
                    assert source[kind]["key"] in known[source[kind]["name"]], (name, variable)
    labels = [pod["metadata"]["labels"] for _, pod in pods(resources)]
    for name, service in named(resources, "Service").items():
        assert any(service["spec"]["selector"].items() <= each.items() for each in labels), name


def test_the_network_allows_only_what_is_named(resources: list[Resource]) -> None:
    policies = named(resources, "NetworkPolicy")
    nothing = policies["nothing"]["spec"]
    assert nothing == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    (rule,) = policies["postgres"]["spec"]["ingress"]
    (peer,) = rule["from"]
    (expression,) = peer["podSelector"]["matchExpressions"]
    assert expression["values"] == ["prefect", "mlflow"]
    client = {"braid/client": "true"}
    for name, pod in pods(resources):
        labels = pod["metadata"]["labels"]
        assert (client.items() <= labels.items()) == any(part in name for part in ("worker", "deploy")), name


def test_secrets_are_the_users_own(resources: list[Resource]) -> None:
    assert set(named(resources, "Secret")["braid"]["data"]) == set(SECRETS)
    written = [path for path in INFRA.rglob("*.yaml") if "kind: Secret" in path.read_text("utf-8")]
    assert written == []
    example = (INFRA / "kubernetes/cpu/secrets.env.example").read_text("utf-8")
    assert all(line.endswith("=") for line in example.splitlines())


def template(kind: str, pool: str) -> Resource:
    return json.loads((INFRA / "work-pools" / f"{kind}-{pool}.json").read_text("utf-8"))


@pytest.mark.parametrize("pool", ["cpu", "gpu"])
def test_a_pool_makes_valid_jobs(pool: str, resources: list[Resource]) -> None:
    base = template("kubernetes", pool)
    given = {"env": {"MORE": "1"}, "memory": "3Gi"}
    made = asyncio.run(KubernetesWorkerJobConfiguration.from_template_and_values(base, given, client=NOBODY))
    made.prepare_for_flow_run(FlowRun.model_construct(id="0" * 32, name="some run", flow_id="1" * 32))
    job = made.job_manifest
    assert faults({**job, "metadata": {**job["metadata"], "name": "x"}}) == []
    pod = job["spec"]["template"]
    (container,) = pod["spec"]["containers"]
    contained(pool, pod)
    assert container["args"] == ["python", "-m", "flows.workers.guarded", "prefect.engine"]
    environment = {variable["name"]: variable for variable in container["env"]}
    assert environment["MORE"]["value"] == "1"
    key = environment["MLFLOW_TRACKING_PASSWORD"]["valueFrom"]["secretKeyRef"]
    assert key["key"] in named(resources, "Secret")[key["name"]]["data"]
    assert container["resources"]["limits"]["memory"] == "3Gi"
    assert container["resources"]["limits"].get("nvidia.com/gpu") == (1 if pool == "gpu" else None)
    assert pod["spec"]["serviceAccountName"] in named(resources, "ServiceAccount")
    assert pod["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"] == "workspace"
    assert pod["metadata"]["labels"]["braid/client"] == "true"  # the network lets it to the servers
    assert job["metadata"]["namespace"] == "braid"


@pytest.mark.parametrize("pool", ["cpu", "gpu"])
@pytest.mark.parametrize("kind", ["process", "kubernetes"])
def test_no_variable_of_a_template_is_without_use_or_description(kind: str, pool: str) -> None:
    base = template(kind, pool)
    variables = base["variables"]["properties"]
    used = json.dumps(base["job_configuration"])
    assert [name for name in variables if f"{{{{ {name} }}}}" not in used] == []
    assert used.count("{{ ") >= len(variables)
    assert all(variable["description"].endswith(".") for variable in variables.values())


def test_the_process_pool_of_cpus_hides_gpus() -> None:
    made = asyncio.run(
        ProcessJobConfiguration.from_template_and_values(template("process", "cpu"), {}, client=NOBODY)
    )
    assert made.env["CUDA_VISIBLE_DEVICES"] == ""
    gpu = asyncio.run(
        ProcessJobConfiguration.from_template_and_values(template("process", "gpu"), {}, client=NOBODY)
    )
    assert "CUDA_VISIBLE_DEVICES" not in gpu.env


def test_the_ray_cluster_has_valid_pods() -> None:
    """There is no model of KubeRay's own fields here; those are held against its documented names."""
    cluster, policy = yaml.safe_load_all((INFRA / "ray/raycluster.yaml").read_text("utf-8"))
    assert faults(policy) == []
    assert set(cluster["spec"]) <= {
        "authOptions",
        "rayVersion",
        "headGroupSpec",
        "workerGroupSpecs",
        "enableInTreeAutoscaling",
    }
    groups = [cluster["spec"]["headGroupSpec"], *cluster["spec"]["workerGroupSpecs"]]
    for group in groups:
        assert {"rayStartParams", "template"} <= set(group)
        known = {"rayStartParams", "template", "groupName", "replicas", "minReplicas", "maxReplicas"}
        assert set(group) <= known
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "x"},
            "spec": group["template"]["spec"],
        }
        assert faults(pod) == []
    assert any("nvidia.com/gpu" in str(group["template"]) for group in groups)


def test_the_ray_cluster_is_of_the_images_and_the_version_that_are_built() -> None:
    cluster, policy = yaml.safe_load_all((INFRA / "ray/raycluster.yaml").read_text("utf-8"))
    versions = (INFRA.parent / "constraints.txt").read_text("utf-8").splitlines()
    assert f"ray=={cluster['spec']['rayVersion']}" in versions
    extras = re.search(r"ARG EXTRAS=(.*)", (INFRA / "Dockerfile").read_text("utf-8"))
    assert extras is not None
    assert "ray" in extras[1].split(",")
    settings = (INFRA / "kubernetes/cpu/kustomization.yaml").read_text("utf-8")
    pods = [cluster["spec"]["headGroupSpec"], *cluster["spec"]["workerGroupSpecs"]]
    for pod in pods:
        (container,) = pod["template"]["spec"]["containers"]
        assert f"IMAGE={container['image']}\n" in settings
        gpus = "nvidia.com/gpu" in container["resources"]["limits"]
        assert container["image"].endswith("-cuda" if gpus else "-cpu")
        assert "$KUBERAY_GEN_RAY_START_CMD" in container["args"][0]
        assert pod["template"]["metadata"]["labels"]["braid/client"] == "true"  # the servers are for clients
    (container,) = pods[0]["template"]["spec"]["containers"]
    keys = {each["valueFrom"]["secretKeyRef"]["key"] for each in container["env"] if "valueFrom" in each}
    assert keys <= set(SECRETS)
    assert policy["spec"]["podSelector"]["matchLabels"] == {"ray.io/cluster": cluster["metadata"]["name"]}
