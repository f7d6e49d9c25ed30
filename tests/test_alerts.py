"""The rules for Prometheus and the dashboard for Grafana: each name in them is one that running processes tell."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from imgsearch.http.metrics import COUNTERS, HISTOGRAMS
from imgsearch.settings import Settings
from imgsearch.spaces.space import Space
from tests import commands
from tests.http.server import serving
from tests.processes import WorkerProcess, eventually

ROOT = Path(__file__).parent.parent
PROMETHEUS = ROOT / "examples/prometheus"
RULES = yaml.safe_load((PROMETHEUS / "imgsearch.rules.yml").read_text())["groups"][0]["rules"]
DASHBOARD = json.loads((ROOT / "examples/grafana/imgsearch.json").read_text())
QUERIES = [t["expr"] for panel in DASHBOARD["panels"] for t in panel.get("targets", [])]
WATCHING = (ROOT / "docs/watching.md").read_text()
OF_PROMETHEUS = {"instance", "job", "le"}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def families(port: int) -> dict[str, Any]:
    text = httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=30, trust_env=False).text
    return {family.name: family for family in text_string_to_metric_families(text)}


@pytest.fixture
def told(
    settings: Settings, space: Space, environment: dict[str, str], tmp_path: Path
) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """What a worker and a web process tell; the web process by its port of its own, which asks for no key."""
    worker, web = free_port(), free_port()
    listening = WorkerProcess(settings, environment, tmp_path / "worker.log", "both", "--listen", str(worker))
    options = ("--metrics", str(web))
    with listening, serving(environment, *options) as served:
        asked = {"text": "red shoe"}
        assert httpx.post(f"{served.url}/v1/search", json=asked, timeout=60, trust_env=False).status_code == 200
        eventually(lambda: "imgsearch_search_pages" in families(web), what="the count of a search")
        yield families(worker), families(web)


def test_every_metric_in_rules_dashboard_and_page_is_told_by_a_running_process(
    told: tuple[dict[str, Any], dict[str, Any]],
) -> None:
    worker, web = told
    samples = {name for family in (worker | web).values() for name in _samples(family)}
    for where, text in (("rules", str(RULES)), ("dashboard", str(QUERIES)), ("page", WATCHING)):
        unknown = set(re.findall(r"imgsearch_[a-z_]+[a-z]", text)) - samples
        assert not unknown, f"nobody tells what the {where} ask for: {unknown}"
    missing = {n for n in worker | web if n.removesuffix("_created") not in WATCHING}
    assert not missing, f"docs/watching.md does not name {missing}"
    used = {one for text in (*QUERIES, *(rule["expr"] for rule in RULES)) for one in _labels(text)}
    known = {label for family in (worker | web).values() for s in family.samples for label in s.labels}
    known |= {label for _, _, own in (*COUNTERS.values(), *HISTOGRAMS.values()) for label in own} | OF_PROMETHEUS
    assert used <= known | {"code", "final", "stage", "space"}
    assert {s.labels["strategy"] for s in web["imgsearch_search_duration_seconds"].samples} == {"exact"}


def _samples(family: Any) -> set[str]:
    ends = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count", "")}.get(family.type, ("",))
    return {family.name + end for end in ends}


def _labels(text: str) -> set[str]:
    matched = re.findall(r"[{,]\s*(\w+)\s*(?:=~|!=|!~|=)", text)
    grouped = [one for group in re.findall(r"(?:by|on|ignoring)\s*\(([^)]*)\)", text) for one in group.split(",")]
    return {one.strip() for one in (*matched, *grouped) if one.strip()}


def test_each_alert_says_what_to_do_by_commands_that_exist() -> None:
    for rule in RULES:
        assert rule["alert"].startswith("Imgsearch")
        assert rule["labels"]["severity"] in {"warning", "critical"}
        assert rule["annotations"]["summary"].endswith(".")
        for said in re.findall(r"`imgsearch ([^`]+)`", rule["annotations"]["cure"]):
            assert commands.wrong(said.split()) is None, said


def test_the_rules_fire_and_keep_quiet_as_they_should() -> None:
    """By Prometheus's own tool, where it is installed (Debian: prometheus); that every rule is tried, always."""
    tried = (PROMETHEUS / "imgsearch.rules.test.yml").read_text()
    assert {rule["alert"] for rule in RULES} == set(re.findall(r'alertname="(\w+)"', tried))
    if (promtool := shutil.which("promtool")) is None:
        pytest.skip("promtool is not installed: apt-get install prometheus")
    for command in (
        ["check", "config", "prometheus.yml"],
        ["check", "rules", "imgsearch.rules.yml"],
        ["test", "rules", "imgsearch.rules.test.yml"],
    ):
        done = subprocess.run([promtool, *command], cwd=PROMETHEUS, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_dashboard_can_be_imported() -> None:
    """What Grafana wants of a file: panels that do not lie on one another, each with its own number and a source."""
    numbers = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(numbers)) == len(numbers)
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells
        for target in panel.get("targets", []):
            assert target["datasource"]["uid"] == "${datasource}"
    assert [one["name"] for one in DASHBOARD["templating"]["list"]] == ["datasource"]
