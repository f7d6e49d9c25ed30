"""The queue of second looks: the first of an answer in, a better order out, in the time that its asker waits."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import psycopg

from imgsearch.db import sql
from imgsearch.errors import ImgsearchError
from imgsearch.picture.region import Region
from imgsearch.storage import open_store
from imgsearch_workers.looking.child import KINDS
from imgsearch_workers.looking.link import Helper, RefusedError
from imgsearch_workers.looking.pictures import Album, Decoder
from imgsearch_workers.pipeline.work_loop import LoopContext, WorkLoop
from imgsearch_workers.process.listener import Listener
from imgsearch_workers.process.watchdog import Watchdog

log = logging.getLogger("imgsearch.worker")
LEFT = 0.05  # seconds before its asker gives up that an answer is written
LARGEST_DETAILS = 65_536  # bytes of JSON that a step may say of its rows
WHY = {
    "time_over": "The time was over.",
    "not_ready": "This step is still being made ready; ask again in a moment.",
    "not_set": "No worker has this step; name it in IMGSEARCH_RERANKERS.",
    "no_model": "No worker has a model for it; name one in IMGSEARCH_RERANK_MODEL.",
}
Json = dict[str, Any]


class _Unwatched(Watchdog):
    """Nothing of this loop runs on the device."""

    def is_responsive(self, within: float = 0.0) -> bool:
        return True

    def is_stuck(self) -> bool:
        return False


class LookLoop(WorkLoop):
    """Ranks anew until stopped, one look after the other; each step runs in a child that may be killed."""

    name = "looks"

    def __init__(self, context: LoopContext, listener: Listener) -> None:
        super().__init__(context, listener, _Unwatched())
        self._store, self._decoder = open_store(self.settings.storage_url), Decoder()
        self._helpers: dict[str, Helper] = {}

    def is_polling(self) -> bool:
        return self.is_alive()  # a look may take as long as its asker waits

    def alive(self, connection: psycopg.Connection[Any]) -> None:
        """Leave no sign of life: the loop of the questions beside it does."""

    def work(self, connection: psycopg.Connection[Any]) -> None:
        if self.settings.rerank_model:
            self._helper("cross_encoder", None).begin()
        try:
            while not self.stopping.is_set():
                rows = sql.rows(connection, "look", "claim")
                if not rows:
                    self.listener.wait()
                    continue
                asked, deadline = rows[0], time.monotonic() + rows[0]["seconds"] - LEFT
                answer = self._answer(connection, asked, deadline)
                values = {"answer": json.dumps(answer), "tenant": asked["tenant_id"], "ticket": asked["ticket"]}
                sql.run(connection, "look", "answer", values)
        finally:
            if self.stopping.is_set():  # a database that comes back finds the models still loaded
                for helper in self._helpers.values():
                    helper.kill()
                self._helpers.clear()

    def _answer(self, connection: psycopg.Connection[Any], asked: Json, deadline: float) -> Json:
        """Return what a look comes to; a request that makes no sense ends nothing: whoever may search can write one."""
        try:
            return self._looked(connection, asked, deadline)
        except psycopg.OperationalError:
            raise
        except Exception as error:
            log.exception("a second look cannot be answered")
            step = {"step": "", "took_ms": 0.0, "code": "failed", "why": f"It makes no sense ({type(error).__name__})."}
            return {"order": [], "steps": [step], "details": {}}

    def _looked(self, connection: psycopg.Connection[Any], asked: Json, deadline: float) -> Json:
        """Return the order that a chain of steps comes to, what each did, and what they say of single rows."""
        order, steps = list(range(len(asked["images"]))), []
        details: Json = {}
        gathered = _Gathered(connection, asked)
        for step in asked["steps"]:
            began = time.monotonic()
            seen = [place for place in order[: step["pool"]] if place in gathered.rows]
            try:
                done = self._ranked(step, seen, gathered, deadline)
            except TimeoutError:
                steps.append(_not(step, "time_over", WHY["time_over"], began))
                if step["step"] == "cross_encoder" and self.settings.rerank_model:
                    self._helper("cross_encoder", None).begin()  # loads while others look
                continue
            except RefusedError as error:
                log.warning("second look: %s: %s", step["step"], error)
                steps.append(_not(step, "failed", str(error), began))
                continue
            if isinstance(done, str):
                steps.append(_not(step, done, WHY[done], began))
                continue
            before, order = order, _reordered(order, seen, done["order"])
            moved = sum(one != other for one, other in zip(before, order, strict=True))
            took_ms = (time.monotonic() - began) * 1000
            said = {"step": step["step"], "took_ms": took_ms, "looked": done["looked"], "moved": moved}
            nothing = {"code": "nothing_to_go_by", "why": done["why"]} if done["why"] else {}
            steps.append({**said, **nothing})
            _note(details, step["step"], seen, done["details"])
        return {"order": order, "steps": steps, "details": details}

    def _ranked(self, step: Json, seen: Sequence[int], gathered: _Gathered, deadline: float) -> Json | str:
        """Return what a step says of the rows it sees, or a code why it cannot. Raises RefusedError, TimeoutError."""
        kind, given, path = step["step"], dict(step["given"]), None
        if kind not in KINDS:
            raise RefusedError(f"there is no step {str(kind)[:40]!r}")
        if kind == "custom":
            path = dict(self.settings.rerankers).get(str(given.get("name")))
            given = given.get("parameters") or {}
            if path is None:
                return "not_set"
        elif kind == "cross_encoder" and not self.settings.rerank_model:
            return "no_model"
        if time.monotonic() >= deadline:
            raise TimeoutError
        helper = self._helper(kind, path)
        if not helper.is_ready(deadline):
            return "not_ready"
        asked, blob = gathered.told(seen, given, deadline - time.monotonic())
        album = Album(
            self._store,
            self._decoder,
            dict(enumerate(gathered.rows[one] for one in seen)),
            (gathered.own(self._store), gathered.region),
        )
        return helper.run(asked, blob, album.serve, deadline)

    def _helper(self, kind: str, path: str | None) -> Helper:
        settings = self.settings
        options = {
            "kind": kind,
            "path": path,
            "model": settings.rerank_model,
            "device": settings.device,
            "threads": settings.threads,
        }
        return self._helpers.setdefault(path or kind, Helper(options))

    def join(self, seconds: float) -> bool:
        ended = super().join(seconds)
        if ended:
            self._decoder.close()
        return ended


class _Gathered:
    """What a look is about: rows by their places, vectors of length one, the question; of the tenant that asked."""

    def __init__(self, connection: psycopg.Connection[Any], asked: Json) -> None:
        self._connection, self._asked, self._tenant = connection, asked, asked["tenant_id"]
        self.rows: dict[int, Json] = {row["place"]: row for row in self._candidates(asked["images"])}
        self.question: Json = asked["question"]
        self._vectors = self._found_vectors()

    def told(self, seen: Sequence[int], given: Json, seconds: float) -> tuple[Json, bytes]:
        """Return what a child is told of the rows it sees: JSON, and their vectors."""
        distances = [float(row["distance"]) for row in self._asked["rows"]]
        own = _vector(self.question.get("vector"))
        vectors = [self._vectors.get(self.rows[place]["image_id"]) for place in seen]
        known = [one for one in (own, *vectors) if one is not None]
        candidates = [
            {name: self.rows[place][name] for name in ("image_id", "product_id", "category", "in_stock", "attributes")}
            | {"price": _number(self.rows[place]["price"]), "distance": distances[place]}
            for place in seen
        ]
        asked = {
            "given": given,
            "seconds": seconds,
            "text": self.question.get("text"),
            "dimension": len(known[0]) if known else 0,
            "has_vector": own is not None,
            "with_vectors": [one is not None for one in vectors],
            "candidates": candidates,
        }
        return asked, np.concatenate(known).tobytes() if known else b""

    @property
    def region(self) -> Region | None:
        """Which part of the picture that was asked with is meant."""
        said = self.question.get("region")
        return None if said is None else Region.read(said)

    def own(self, store: Any) -> bytes | None:
        """Return the picture that was asked with: sent along, or that of an image here."""
        if self._asked["picture"] is not None:
            return bytes(self._asked["picture"])
        image_id = self.question.get("image_id")
        if image_id is None:
            return None
        for row in self._candidates([image_id]):
            try:
                if str(row["uri"]).startswith("store:"):
                    return bytes(store.get(row["uri"]))
                return bytes(store.get_thumbnail(bytes(row["sha256"]))) if row["sha256"] else None
            except ImgsearchError:
                return None
        return None

    def _candidates(self, images: Sequence[int]) -> Sequence[Json]:
        return sql.rows(self._connection, "look", "candidates", {"images": list(images), "tenant": self._tenant})

    def _found_vectors(self) -> Mapping[int, np.ndarray]:
        if not self._asked["space_id"]:
            return {}
        values = {"images": list(self._asked["images"]), "tenant": self._tenant}
        rows = sql.rows(self._connection, "look", "vectors", values, space_id=self._asked["space_id"])
        return {row["image_id"]: vector for row in rows if (vector := _vector(row["vector"])) is not None}


def _vector(text: str | None) -> np.ndarray | None:
    """Return pgvector's text as float64 of length one."""
    if not text:
        return None
    found = np.array(text[1:-1].split(","), np.float64)
    length = float(np.linalg.norm(found))
    return found / length if length > 0 else None


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def _reordered(order: Sequence[int], seen: Sequence[int], ranked: Sequence[int]) -> list[int]:
    """Return the places in the new order of those that were seen; whoever was not seen stays where they are."""
    named = [seen[one] for one in ranked]
    new = iter([*named, *(one for one in seen if one not in set(named))])
    was = set(seen)
    return [next(new) if place in was else place for place in order]


def _note(details: Json, step: str, seen: Sequence[int], said: Mapping[str, Any]) -> None:
    """Put what a step says of single rows beside what others said; too much of it is left out."""
    if len(json.dumps(said)) <= LARGEST_DETAILS:
        for index, one in said.items():
            details.setdefault(str(seen[int(index)]), {})[step] = one


def _not(step: Json, code: str, why: str, began: float) -> Json:
    took_ms = (time.monotonic() - began) * 1000 if began else 0.0
    return {"step": step["step"], "took_ms": took_ms, "code": code, "why": why}
