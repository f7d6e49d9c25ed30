"""What of kustomize the manifests use, for tests: resources, components, patches by name, images, config maps.

Anything else in a kustomization is an error here, so that no test passes by looking away.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import yaml

Object = dict[str, Any]
KNOWN = {
    "apiVersion", "kind", "resources", "components", "patches", "images", "namespace", "labels", "configMapGenerator"
}  # fmt: skip


def build(folder: Path) -> list[Object]:
    """Return the objects of a kustomization."""
    return _applied(folder, [])


def _applied(folder: Path, found: list[Object]) -> list[Object]:
    told = yaml.safe_load((folder / "kustomization.yaml").read_text())
    assert set(told) <= KNOWN, set(told) - KNOWN
    found = found + [one for name in told.get("resources", []) for one in _resources(folder / name)]
    for name in told.get("components", []):
        found = _applied((folder / name).resolve(), found)
    for patch in told.get("patches", []):
        change = yaml.safe_load((folder / patch["path"]).read_text())
        [target] = [one for one in found if _name(one) == _name(change)]
        found[found.index(target)] = merged(target, change)
    for one in told.get("configMapGenerator", []):
        _config(found, one)
    for one in found:
        _named(one, told)
    return found


def merged(old: Any, new: Any) -> Any:
    """Return a strategic merge: objects key by key, null takes away, lists of named things by name."""
    if isinstance(old, dict) and isinstance(new, dict):
        both = {key: merged(old.get(key), new[key]) if key in new else old[key] for key in {**old, **new}}
        return {key: value for key, value in both.items() if value is not None}
    if isinstance(old, list) and isinstance(new, list) and all("name" in one for one in (*old, *new)):
        by_name = {one["name"]: one for one in old}
        by_name |= {one["name"]: merged(by_name.get(one["name"]), one) for one in new}
        return list(by_name.values())
    return copy.deepcopy(new)


def containers(one: Object) -> list[Object]:
    """Return the containers of whatever makes pods, those that come first among them."""
    spec = pod_of(one)
    return [] if spec is None else [*spec.get("initContainers", []), *spec["containers"]]


def pod_of(one: Object) -> Object | None:
    """Return the pod's spec of a Deployment, Job or CronJob."""
    spec: Object = one.get("spec", {})
    spec = spec.get("jobTemplate", {}).get("spec", spec)
    found: Object | None = spec.get("template", {}).get("spec")
    return found


def _resources(path: Path) -> list[Object]:
    if path.is_dir():
        return build(path.resolve())
    return [one for one in yaml.safe_load_all(path.read_text()) if one]


def _name(one: Object) -> tuple[str, str]:
    return one["kind"], one["metadata"]["name"]


def _config(found: list[Object], told: Object) -> None:
    data = dict(literal.split("=", 1) for literal in told["literals"])
    if told.get("behavior") == "merge":
        [old] = [one for one in found if _name(one) == ("ConfigMap", told["name"])]
        old["data"] |= data
    else:
        found.append({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": told["name"]}, "data": data})


def _named(one: Object, told: Object) -> None:
    if "namespace" in told:
        one["metadata"]["namespace"] = told["namespace"]
    for label in told.get("labels", []):
        one["metadata"].setdefault("labels", {}).update(label["pairs"])
    images = {image["name"]: f"{image['newName']}:{image['newTag']}" for image in told.get("images", [])}
    for container in containers(one):
        container["image"] = images.get(container["image"], container["image"])
