"""The query queue: questions in, vectors out, as fast as one small forward pass allows."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

import psycopg

from imgsearch.errors import PictureError
from imgsearch.query import cache
from imgsearch.query.cache import Entry
from imgsearch_workers.decoding.decoder import DecodePool
from imgsearch_workers.model.device_errors import is_sticky
from imgsearch_workers.model.encoder import Encoder, Pixels, count_tokens, embed_texts, reads_texts
from imgsearch_workers.model.probe import TEXT as PROBE
from imgsearch_workers.model.probe import drawn
from imgsearch_workers.pipeline.batch import Batch, DeviceLost
from imgsearch_workers.pipeline.work_loop import LoopContext, WorkLoop
from imgsearch_workers.process.listener import Listener
from imgsearch_workers.process.watchdog import Watchdog

log = logging.getLogger("imgsearch.worker")
AT_ONCE = 16


class QueryLoop(WorkLoop):
    """Answers questions until stopped."""

    name = "queries"

    def __init__(
        self,
        context: LoopContext,
        listener: Listener,
        *,
        encoder: Encoder,
        pool: DecodePool,
        on_device_lost: Callable[[], None],
    ) -> None:
        super().__init__(context, listener, Watchdog(listener.wake))
        self._encoder, self._pool, self._on_device_lost = encoder, pool, on_device_lost
        self._batch = Batch(encoder, AT_ONCE)

    def work(self, connection: psycopg.Connection[Any]) -> None:
        while not self.stopping.is_set():
            self.alive(connection)
            questions = cache.claim(connection, self.space_id, AT_ONCE)
            try:
                self._answer_texts(connection, [q for q in questions if q.kind == "text"])
                self._answer_pictures(connection, [q for q in questions if q.kind == "picture"])
                if self.watchdog.wanted():
                    self._prove()
            except DeviceLost as error:
                log.critical("the device is lost to this process: %s", error)
                self._on_device_lost()
                return
            if not questions:
                self.listener.wait()

    def _answer_texts(self, connection: psycopg.Connection[Any], questions: list[Entry]) -> None:
        if not questions:
            return
        try:
            with self.watchdog.forward_pass():
                texts = [q.query or "" for q in questions]
                vectors = embed_texts(self._encoder, texts)
                counts: Sequence[tuple[int, int] | None] = count_tokens(self._encoder, texts) or [None] * len(texts)
        except Exception as error:
            if is_sticky(error):
                raise DeviceLost(str(error)) from error
            self._alone(connection, questions, error)
            return
        for question, vector, count in zip(questions, vectors, counts, strict=True):
            cache.answer(connection, self.space_id, question, vector, tokens=count)

    def _prove(self) -> None:
        """Embed a fixed text or picture, because somebody asks whether the model still answers."""
        try:
            with self.watchdog.forward_pass():
                if reads_texts(self._encoder):
                    embed_texts(self._encoder, [PROBE])
                else:
                    self._encoder.embed_pictures(drawn(1, self._encoder.size))
        except Exception as error:
            if is_sticky(error):
                raise DeviceLost(str(error)) from error
            log.error("the model does not answer for the probe: %s", error)

    def _alone(self, connection: psycopg.Connection[Any], questions: list[Entry], error: Exception) -> None:
        """One text that the model cannot answer must not take its neighbours along."""
        if len(questions) > 1:
            for question in questions:
                self._answer_texts(connection, [question])
            return
        cache.answer(connection, self.space_id, questions[0], error_code="not_embeddable", error=str(error))

    def _answer_pictures(self, connection: psycopg.Connection[Any], questions: list[Entry]) -> None:
        decoded: list[tuple[Entry, Pixels]] = []
        for question in questions:
            try:
                decoded.append((question, self._pool.decode(question.picture or b"").pixels))
            except PictureError as error:
                cache.answer(connection, self.space_id, question, error_code=error.code, error=str(error))
        if not decoded:
            return
        with self.watchdog.forward_pass():
            answers = self._batch.embed([pixels for _, pixels in decoded])
        for (question, _), answer in zip(decoded, answers, strict=True):
            if isinstance(answer, Exception):
                cache.answer(connection, self.space_id, question, error_code="not_embeddable", error=str(answer))
            else:
                cache.answer(connection, self.space_id, question, answer)
