"""The services of docker-compose.yml as processes: their commands, environment and health checks, elsewhere."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.processes import eventually

ROOT = Path(__file__).parent.parent
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]


def interpolated(text: str, environ: dict[str, str]) -> str:
    """Return a text of the compose file with its ${NAME:-default} filled in."""
    return re.sub(r"\$\{(\w+):-([^}]*)\}", lambda m: environ.get(m[1]) or m[2], text)


@dataclass
class Stack:
    """The services of the compose file as processes. What is elsewhere in a container is `translated`."""

    folder: Path
    translated: dict[str, str]
    environ: dict[str, str]
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    ports: dict[tuple[str, str], str] = field(default_factory=dict)

    def here(self, text: str, service: str) -> str:
        places = {
            **self.translated,
            "/tmp/": f"{self.folder / service}/",
            "find /tmp ": f"find {self.folder / service} ",
        }
        text = re.sub("|".join(map(re.escape, places)), lambda found: places[found[0]], text)
        for port in re.findall(r"(?<=[.:])(?:9100|9101|8000)\b", text):
            text = re.sub(rf"\b{port}\b", self.port(service, port), text)
        return text

    def port(self, service: str, port: str) -> str:
        if (service, port) not in self.ports:
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                self.ports[service, port] = str(free.getsockname()[1])
        return self.ports[service, port]

    def environment(self, service: str) -> dict[str, str]:
        """Return the environment of a service: the container's PATH, and what the file says; nothing of ours."""
        given = SERVICES[service].get("environment", {})
        found = {name: self.here(interpolated(str(value), self.environ), service) for name, value in given.items()}
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        home = "/dev/null/home"  # nothing can be written there, as in a container that is read only
        return {"PATH": path, "PYTHONPATH": os.environ.get("PYTHONPATH", str(ROOT)), "HOME": home, **found}

    def run(self, service: str, command: list[str] | None = None, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run a service to its end, or another command in its place: `docker compose run --rm SERVICE …`."""
        words = [self.here(word, service) for word in command or SERVICES[service]["command"]]
        (self.folder / service).mkdir(exist_ok=True)
        return subprocess.run(words, env=self.environment(service), capture_output=True, text=True, cwd="/", **options)

    def start(self, service: str) -> None:
        (self.folder / service).mkdir(exist_ok=True)
        words = [self.here(word, service) for word in SERVICES[service]["command"]]
        with self.log(service).open("wb") as log:
            self.processes[service] = subprocess.Popen(
                words, env=self.environment(service), stdout=log, stderr=log, cwd="/"
            )

    def healthy(self, service: str) -> bool:
        """Run the health check of a service."""
        kind, *words = SERVICES[service]["healthcheck"]["test"]
        words = [self.here(word, service) for word in words]
        words = ["sh", "-c", *words] if kind == "CMD-SHELL" else words
        return subprocess.run(words, env=self.environment(service), capture_output=True, check=False).returncode == 0

    def log(self, service: str) -> Path:
        return self.folder / f"{service}.log"

    def wait(self, service: str) -> None:
        process = self.processes[service]
        eventually(lambda: self.healthy(service) or process.poll() is not None, what=f"the health of {service}")
        assert process.poll() is None, self.log(service).read_text()

    def stop(self) -> dict[str, int]:
        """End every service as Docker does, and return their exit codes."""
        for process in self.processes.values():
            process.terminate()
        return {name: process.wait(30) for name, process in self.processes.items()}
