"""A web process of one release, and requests to it over connections that stay open, one for each thread."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
from collections.abc import Mapping
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from uuid import uuid4

_JSON = {"Content-Type": "application/json"}


class Web:
    """`imgsearch serve` of the code in `root`."""

    def __init__(self, root: Path, environment: Mapping[str, str], log: Path) -> None:
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "imgsearch.flask", "--bind", "127.0.0.1:0"],
                cwd=root,
                env=dict(environment),
                stdout=subprocess.PIPE,
                stderr=output,
                text=True,
            )
        assert self.process.stdout is not None
        said = self.process.stdout.readline()
        found = re.search(r":(\d+)/", said)
        if found is None:
            raise RuntimeError(f"the web process did not say where it is: {said} {log.read_text()[-2000:]}")
        self._port = int(found[1])
        self._own = threading.local()

    def get(self, path: str) -> int:
        """Return the status of an answer."""
        return self._send("GET", path, None, {})[0]

    def post(self, path: str, document: object) -> Any:
        """Return the document of an answer. Raises RuntimeError for a status that is none of success."""
        return self._json("POST", path, json.dumps(document).encode(), _JSON)

    def patch(self, path: str, document: object) -> Any:
        """Return the document of an answer; as post()."""
        return self._json("PATCH", path, json.dumps(document).encode(), _JSON)

    def upload(self, product: str, tenant: str, picture: bytes) -> Any:
        """Add a picture as a form; as post()."""
        border = uuid4().hex
        request = json.dumps({"images": [{"product_id": product, "tenant": tenant}]})
        parts = f'--{border}\r\nContent-Disposition: form-data; name="request"\r\n\r\n{request}\r\n--{border}\r\n'
        head = 'Content-Disposition: form-data; name="picture"; filename="a.jpg"\r\nContent-Type: image/jpeg\r\n\r\n'
        body = (parts + head).encode() + picture + f"\r\n--{border}--\r\n".encode()
        headers = {"Content-Type": f"multipart/form-data; boundary={border}"}
        return self._json("POST", "/v1/images/upload", body, headers)

    def _json(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> Any:
        status, answer = self._send(method, path, body, headers)
        if status >= 300:
            raise RuntimeError(f"{status} {answer[:300].decode(errors='replace')}")
        return json.loads(answer)

    def _send(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> tuple[int, bytes]:
        if not hasattr(self._own, "connection"):
            self._own.connection = HTTPConnection("127.0.0.1", self._port, timeout=60)
        try:
            self._own.connection.request(method, path, body, dict(headers))
            answer = self._own.connection.getresponse()
            return answer.status, answer.read()
        except OSError:
            self._own.connection.close()
            raise
