"""The query queue: questions in, vectors out, as fast as one small forward pass allows."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import psycopg

from imgsearch.errors import PictureError
from imgsearch.query import cache
from imgsearch.query.cache import Entry
from imgsearch.storage import FetchPolicy, Store
from imgsearch_workers.decoding.decoder import DecodePool
from imgsearch_workers.model.device_errors import is_sticky
from imgsearch_workers.model.encoder import Encoder, Pixels, count_tokens, embed_texts, reads_texts
from imgsearch_workers.model.probe import TEXT as PROBE
from imgsearch_workers.model.probe import drawn
from imgsearch_workers.pipeline.batch import Batch, DeviceLost
from imgsearch_workers.pipeline.stored import StoredPictures
from imgsearch_workers.pipeline.work_loop import LoopContext, WorkLoop
from imgsearch_workers.process.listener import Listener
from imgsearch_workers.process.watchdog import Watchdog
from imgsearch_workers.proposers import salient
from imgsearch_workers.proposers.salient import Box

log = logging.getLogger("imgsearch.worker")
AT_ONCE = 16


@dataclass(frozen=True)
class _Model:
    space_id: int
    encoder: Encoder
    pool: DecodePool
    batch: Batch


class QueryLoop(WorkLoop):
    """Answers questions until stopped, each by the model of the space that it was asked in."""

    name = "queries"

    def __init__(
        self,
        context: LoopContext,
        listener: Listener,
        *,
        encoders: Mapping[int, tuple[Encoder, DecodePool]],
        store: Store,
        policy: FetchPolicy,
        on_device_lost: Callable[[], None],
    ) -> None:
        super().__init__(context, listener, Watchdog(listener.wake))
        self._on_device_lost = on_device_lost
        self._stored = StoredPictures(store, policy, listener.wake)
        self._models = {
            space_id: _Model(space_id, encoder, pool, Batch(encoder, AT_ONCE))
            for space_id, (encoder, pool) in encoders.items()
        }

    def work(self, connection: psycopg.Connection[Any]) -> None:
        while not self.stopping.is_set():
            self.alive(connection)
            answered = 0
            try:
                for model in [self._models[space_id] for space_id in self.spaces]:
                    questions = cache.claim(connection, model.space_id, AT_ONCE)
                    answered += len(questions)
                    self._answer_texts(connection, model, [q for q in questions if q.kind == "text"])
                    self._answer_pictures(connection, model, self._at_hand(connection, model, questions))
                if self.watchdog.wanted():
                    self._prove()
            except DeviceLost as error:
                log.critical("the device is lost to this process: %s", error)
                self._on_device_lost()
                return
            if not answered:
                self.listener.wait()

    def stop(self) -> None:
        super().stop()
        self._stored.close()

    def _at_hand(self, connection: psycopg.Connection[Any], model: _Model, questions: Sequence[Entry]) -> list[Entry]:
        """Return the questions whose pictures are here, and have those read that lie in a store."""
        pictures = [one for one in questions if one.kind == "picture"]
        for one in pictures:
            if one.image_id is not None:
                self._stored.begin(model.space_id, one, cache.place(connection, one))
        here = [one for one in pictures if one.image_id is None]
        for read in self._stored.take(model.space_id):
            if isinstance(read.found, bytes):
                here.append(replace(read.entry, picture=read.found))
                continue
            self._refuse(connection, model, read.entry, read.found)
        return here

    def _refuse(self, connection: psycopg.Connection[Any], model: _Model, entry: Entry, error: PictureError) -> None:
        """Say why a question has no answer; of an image here, to its own tenant alone."""
        tenant = entry.tenant_id if entry.image_id is not None else None
        cache.answer(connection, model.space_id, entry, error_code=error.code, error=str(error), tenant=tenant)

    def _answer_texts(self, connection: psycopg.Connection[Any], model: _Model, questions: list[Entry]) -> None:
        if not questions:
            return
        try:
            with self.watchdog.forward_pass():
                texts = [q.query or "" for q in questions]
                vectors = embed_texts(model.encoder, texts)
                counts: Sequence[tuple[int, int] | None] = count_tokens(model.encoder, texts) or [None] * len(texts)
        except Exception as error:
            if is_sticky(error):
                raise DeviceLost(str(error)) from error
            self._alone(connection, model, questions, error)
            return
        for question, vector, count in zip(questions, vectors, counts, strict=True):
            cache.answer(connection, model.space_id, question, vector, tokens=count)

    def _prove(self) -> None:
        """Embed a fixed text or picture, because somebody asks whether the model still answers."""
        try:
            with self.watchdog.forward_pass():
                for model in self._models.values():
                    if reads_texts(model.encoder):
                        embed_texts(model.encoder, [PROBE])
                    else:
                        model.encoder.embed_pictures(drawn(1, model.encoder.size))
        except Exception as error:
            if is_sticky(error):
                raise DeviceLost(str(error)) from error
            log.error("the model does not answer for the probe: %s", error)

    def _alone(
        self, connection: psycopg.Connection[Any], model: _Model, questions: list[Entry], error: Exception
    ) -> None:
        """One text that the model cannot answer must not take its neighbours along."""
        if len(questions) > 1:
            for question in questions:
                self._answer_texts(connection, model, [question])
            return
        cache.answer(connection, model.space_id, questions[0], error_code="not_embeddable", error=str(error))

    def _answer_pictures(self, connection: psycopg.Connection[Any], model: _Model, questions: list[Entry]) -> None:
        decoded: list[tuple[Entry, Pixels, Sequence[Box] | None]] = []
        for question in questions:
            try:
                whole = question.region is None
                found = model.pool.decode(question.picture or b"", region=question.region, sketch=whole)
                parts = None if found.sketch is None else salient.propose(found.sketch)
                decoded.append((question, found.pixels, parts))
            except PictureError as error:
                self._refuse(connection, model, question, error)
        if not decoded:
            return
        with self.watchdog.forward_pass():
            answers = model.batch.embed([pixels for _, pixels, _ in decoded])
        for (question, _, boxes), answer in zip(decoded, answers, strict=True):
            if isinstance(answer, Exception):
                cache.answer(connection, model.space_id, question, error_code="not_embeddable", error=str(answer))
            else:
                cache.answer(connection, model.space_id, question, answer, boxes=boxes)
