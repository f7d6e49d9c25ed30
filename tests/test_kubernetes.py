"""The manifests: schemas of Kubernetes and KEDA take them, and what they name is there: commands, settings, paths."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from imgsearch_workers.process import health_server

from imgsearch.http.openapi import document
from tests import commands
from tests.kustomize import Object, build, containers, pod_of

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "examples/kubernetes"
SCHEMAS: dict[str, Any] = json.loads((ROOT / "tests/vendor/kubernetes.json").read_text())
PAGE = (ROOT / "docs/kubernetes.md").read_text()
BUILT = {name: build(FOLDER / name) for name in ("base", "production")}
OBJECTS = [
    pytest.param(one, id=f"{name} {one['kind']} {one['metadata']['name']}") for name in BUILT for one in BUILT[name]
]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]


def wrong(one: Object) -> str | None:
    """Return what Kubernetes would refuse of an object, None where it takes it."""
    schema = {**SCHEMAS["kinds"][one["kind"]], "definitions": SCHEMAS["definitions"]}
    found = jsonschema.Draft7Validator(schema).iter_errors(one)
    error = next(iter(sorted(found, key=lambda e: len(e.path), reverse=True)), None)
    return None if error is None else f"{list(error.path)}: {error.message[:200]}"


def named(kind: str, name: str, where: str = "base") -> Object:
    [found] = [one for one in BUILT[where] if (one["kind"], one["metadata"]["name"]) == (kind, f"imgsearch-{name}")]
    return found


@pytest.mark.parametrize("one", OBJECTS)
def test_kubernetes_takes_it(one: Object) -> None:
    assert wrong(one) is None


def test_the_schemas_refuse_what_kubernetes_would() -> None:
    one = json.loads(json.dumps(named("Deployment", "web")))
    one["spec"]["template"]["spec"]["containers"][0]["readynessProbe"] = {}
    assert "readynessProbe" in str(wrong(one))
    scaled = json.loads(json.dumps(named("ScaledObject", "images", "production")))
    scaled["spec"]["minReplicas"] = 1
    assert "minReplicas" in str(wrong(scaled))


@pytest.mark.parametrize("one", [one for one in OBJECTS if pod_of(one.values[0])])  # type: ignore[arg-type, call-overload]
def test_a_pod_names_commands_settings_and_secrets_that_are_real_and_may_do_little(one: Object) -> None:
    pod = pod_of(one)
    assert pod is not None
    assert pod["securityContext"]["runAsNonRoot"]
    assert not pod["automountServiceAccountToken"]
    assert "USER 1000\n" in (ROOT / "Dockerfile").read_text()
    assert pod["securityContext"]["runAsUser"] == 1000
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    for container in containers(one):
        program, *words = container["command"]
        beat = ["celery", "-A", "imgsearch_workers.app", "beat"]
        assert (program == "imgsearch" and commands.wrong(words) is None) or container["command"][:4] == beat
        security = container["securityContext"]
        assert security["readOnlyRootFilesystem"]
        assert not security["allowPrivilegeEscalation"]
        assert security["capabilities"] == {"drop": ["ALL"]}
        assert {"cpu", "memory"} <= set(container["resources"]["requests"])
        assert "memory" in container["resources"]["limits"]
        mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
        assert set(mounts) <= set(volumes)
        files = {item["path"] for item in volumes["secrets"]["secret"]["items"]}
        for variable in container["env"]:
            name = variable["name"]
            assert name.removesuffix("_FILE") in commands.SETTINGS | {"HF_HOME"}, name
            if name.endswith("_FILE"):
                folder, _, file = variable["value"].rpartition("/")
                assert (folder, file in files) == (mounts["secrets"], True), name
    used = {item["key"] for item in volumes["secrets"]["secret"]["items"]}
    assert used <= {"owner-url", "worker-url", "web-url", "redis-url"}
    assert "owner-url" not in used or one["metadata"]["name"] == "imgsearch-migrate"
    for key in used:
        assert f"--from-file={key}=" in PAGE, f"docs/kubernetes.md says how {key} gets there"


def test_config_maps_hold_settings() -> None:
    for objects in BUILT.values():
        for one in objects:
            if one["kind"] == "ConfigMap":
                assert set(one["data"]) <= commands.SETTINGS
    merged = next(one for one in BUILT["production"] if one["kind"] == "ConfigMap")
    assert merged["data"]["IMGSEARCH_STORAGE_URL"] == "s3://my-bucket/pictures"
    assert merged["data"]["IMGSEARCH_TRUSTED_PROXIES"] == "1"


@pytest.mark.parametrize("where", list(BUILT))
def test_probes_ask_what_processes_answer_on_ports_they_listen_on(where: str) -> None:
    paths = {"web": set(document()["paths"]), "images": worker_paths(), "queries": worker_paths()}
    for component, answered in paths.items():
        [container] = pod_of(named("Deployment", component, where))["containers"]  # type: ignore[index]
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        told = " ".join(container["command"])
        assert all(f":{port}" in told for port in ports.values()), component
        probes = {kind: container[kind]["httpGet"] for kind in container if kind.endswith("Probe")}
        assert {"readinessProbe", "livenessProbe"} <= set(probes)
        for kind, probe in probes.items():
            path, _, query = probe["path"].partition("?")
            assert path in answered, (component, kind)
            assert query in ("", "need=database,schema")
            assert probe["port"] in ports
        assert probes["livenessProbe"]["path"] == "/healthz", "what waits for a database is not restarted"
        annotations = named("Deployment", component, where)["spec"]["template"]["metadata"]["annotations"]
        assert annotations["prometheus.io/port"] == str(ports["metrics"])
    beat = pod_of(named("Deployment", "beat", where))["containers"][0]  # type: ignore[index]
    kind, *check = COMPOSE["beat"]["healthcheck"]["test"]
    assert (kind, beat["livenessProbe"]["exec"]["command"]) == ("CMD-SHELL", ["sh", "-c", *check])
    assert beat["command"] == COMPOSE["beat"]["command"]


def worker_paths() -> set[str]:
    """The paths that a worker's own HTTP server knows."""
    text = Path(health_server.__file__).read_text()
    return {path for path in ("/healthz", "/readyz", "/metrics") if f'self.path == "{path}"' in text}


def test_what_is_scaled_and_guarded_is_there_once_and_by_one_alone() -> None:
    for where, objects in BUILT.items():
        deployments = {one["metadata"]["name"]: one for one in objects if one["kind"] == "Deployment"}
        scaling = [one["spec"] for one in objects if "scaleTargetRef" in one.get("spec", {})]
        scalers: list[str] = [spec["scaleTargetRef"]["name"] for spec in scaling]
        assert set(scalers) <= set(deployments), where
        assert len(scalers) == len(set(scalers)), f"two that scale one, in {where}"
        for name in scalers:
            assert "replicas" not in deployments[name]["spec"], name
        assert deployments["imgsearch-beat"]["spec"]["replicas"] == 1
        assert deployments["imgsearch-beat"]["spec"]["strategy"] == {"type": "Recreate"}
        labels = [one["spec"]["template"]["metadata"]["labels"] for one in deployments.values()]
        for one in objects:
            selector = one["spec"].get("selector") or one["spec"].get("podSelector") if "spec" in one else None
            if one["kind"] in ("PodDisruptionBudget", "NetworkPolicy", "Service", "Deployment"):
                assert selector, one
                assert any(chosen(selector, label) for label in labels) or "inside" in one["metadata"]["name"]
        guarded = [one for one in objects if one["kind"] == "NetworkPolicy"]
        for one in objects:
            if (pod := pod_of(one)) is not None:
                spec = one["spec"].get("jobTemplate", one)["spec"]
                label = spec["template"]["metadata"]["labels"]
                assert sum(chosen(policy["spec"]["podSelector"], label) for policy in guarded) == 1, (label, pod)


def chosen(selector: Object, labels: dict[str, str]) -> bool:
    """Return whether a selector means a pod with these labels."""
    plain = selector.get("matchLabels", {} if "matchExpressions" in selector else selector)
    rules = selector.get("matchExpressions", [])
    return plain.items() <= labels.items() and all(labels.get(rule["key"]) in rule["values"] for rule in rules)


def test_gpus_and_keda_change_the_image_workers_alone() -> None:
    images = named("Deployment", "images", "production")
    [worker] = pod_of(images)["containers"]  # type: ignore[index]
    assert worker["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert worker["image"] == "registry.example/imgsearch:1-gpu"
    assert {"name": "IMGSEARCH_DEVICE", "value": "cuda"} in worker["env"]
    assert {"name": "HF_HOME", "value": "/models"} in worker["env"], "patches add"
    assert "replicas" not in images["spec"]
    assert named("Deployment", "images")["spec"]["replicas"] == 1
    assert "nvidia" not in json.dumps(named("Deployment", "queries", "production"))
    assert {one["metadata"]["namespace"] for one in BUILT["production"]} == {"imgsearch"}


def test_the_page_names_what_is_there() -> None:
    import re

    for path in re.findall(r"(?:-k|\]\(\.\./)\s*(examples/kubernetes[\w/.-]*)", PAGE):
        assert (ROOT / path).exists(), path
    for kind, name in re.findall(
        r"kubectl (?:logs|rollout status|delete|exec \S+|wait --for=\S+) (job|deployment)/(\S+)", PAGE
    ):
        assert named({"job": "Job", "deployment": "Deployment"}[kind], name.removeprefix("imgsearch-").rstrip("`"))
