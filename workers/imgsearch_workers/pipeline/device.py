"""The device's own thread: takes what is decoded, does not wait for a full batch, and hands the answers to the desk."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from queue import Empty, Queue

import numpy as np

from imgsearch.ingest import queue
from imgsearch.ingest.queue import Claim, Delivery, Failure
from imgsearch_workers.model.device_errors import NonsenseError, is_out_of_memory
from imgsearch_workers.pipeline.batch import Batch, DeviceLost, Pixels
from imgsearch_workers.pipeline.completer import Desk
from imgsearch_workers.pipeline.in_flight import Ledger
from imgsearch_workers.pipeline.prefetcher import Fed, Refused, Result, Snoozed
from imgsearch_workers.process.traces import span
from imgsearch_workers.process.watchdog import Pulse

log = logging.getLogger("imgsearch.worker")
MEMORY_REST = 5.0  # seconds until a picture is tried again that did not fit into memory alone
MEMORY_TRIES = 3  # passes in a row for which memory did not suffice: then a fresh process may do better
GATHER_SECONDS = 0.02  # a pass waits so long for pictures that are being decoded: small batches cost more per picture
LOST_SECONDS = 1.5  # what may be given back before a process with a lost device ends


class Device:
    """Runs forward passes until told to end; `lost` is called when this process must not go on."""

    def __init__(
        self,
        batch: Batch,
        ready: Queue[Result],
        ledger: Ledger,
        desk: Desk,
        pulse: Pulse,
        *,
        coming: Callable[[], int],
        probe: Pixels,
        lost: Callable[[], None],
    ) -> None:
        """`coming` tells how many pictures are being fetched or decoded."""
        self._batch, self._ready, self._ledger, self._desk, self._pulse = batch, ready, ledger, desk, pulse
        self._coming, self._probe, self._lost = coming, probe, lost
        self._too_little_memory = 0
        self._culprits: list[Claim] = []
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="device", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def is_alive(self) -> bool:
        """Tell whether forward passes are still run."""
        return self._thread.is_alive()

    def end(self) -> None:
        """Stop when nothing is left in flight."""
        self._ending.set()

    def _run(self) -> None:
        try:
            while not self._ending.is_set() or len(self._ledger):
                self._step(_drain(self._ready, self._batch.most, self._coming))
        except DeviceLost as error:
            log.critical("the device is lost to this process: %s", error)
            self._end_process(str(error))
        except Exception:
            log.exception("the device's thread met a bug")
            self._lost()  # leases run out by themselves: whatever caused this must not be tried unspent for ever

    def _step(self, results: Sequence[Result]) -> None:
        fed: list[Fed] = []
        for result in results:
            if isinstance(result, Fed):
                fed.append(result)
                continue
            claims = self._ledger.close(result.group)
            if isinstance(result, Snoozed):
                self._desk.release(claims, result.delay)
            else:
                self._desk.put([_failure(claim, result) for claim in claims])
        if fed:
            self._embed(_merged(fed))
        elif self._pulse.wanted():
            self._prove()

    def _embed(self, pictures: Sequence[list[Fed]]) -> None:
        pixels = [same[0].pixels for same in pictures]
        try:
            with self._pulse.beating(), span("imgsearch.forward", pictures=len(pixels)):
                answers = self._batch.embed(pixels)
        except DeviceLost as error:
            # Perhaps one of these did it: their attempt is spent, and they are tried alone the next time.
            self._culprits = [claim for row in error.rows for claim in self._close(pictures[row])]
            raise
        for same, answer in zip(pictures, answers, strict=True):
            for fed in same:
                claims = self._ledger.close(fed.group)
                if isinstance(answer, np.ndarray):
                    self._desk.put(
                        [
                            Delivery(claim=c, sha256=fed.sha256, embedding=answer, phash=fed.phash, etag=fed.etag)
                            for c in claims
                        ]
                    )
                elif is_out_of_memory(answer):
                    self._desk.release(claims, MEMORY_REST)
                else:
                    self._desk.put([_not_embeddable(claim, answer) for claim in claims])
        self._check(*answers)

    def _prove(self) -> None:
        """Run a real pass on a fixed picture, because somebody asks whether the model still answers."""
        try:
            with self._pulse.beating():
                [answer] = self._batch.embed([self._probe])
                self._check(answer)
                if isinstance(answer, Exception):
                    raise answer
        except DeviceLost:
            raise
        except Exception as error:  # noqa: BLE001 - the pulse has not beaten: that is what whoever asked sees
            log.error("the model does not answer for the probe picture: %s", error)

    def _close(self, same: list[Fed]) -> list[Claim]:
        return [claim for fed in same for claim in self._ledger.close(fed.group)]

    def _check(self, *answers: object) -> None:
        """End a process whose device has no room even for one picture, again and again."""
        starved = [isinstance(answer, Exception) and is_out_of_memory(answer) for answer in answers]
        self._too_little_memory = self._too_little_memory + 1 if starved and all(starved) else 0
        if self._too_little_memory >= MEMORY_TRIES:
            raise DeviceLost("there is no memory left for even one picture")

    def _end_process(self, reason: str) -> None:
        held = self._ledger.shut()
        spent = {claim.key for claim in self._culprits}
        self._desk.put([Failure(claim=c, code=queue.LOST, message=reason, permanent=False) for c in self._culprits])
        self._desk.release([claim for claim in held if claim.key not in spent], 0)
        self._desk.close(LOST_SECONDS)
        self._lost()


def _merged(fed: Sequence[Fed]) -> list[list[Fed]]:
    """Put the same bytes of one tenant together: fetched addresses show only now that they are the same."""
    same: dict[tuple[str, bytes], list[Fed]] = {}
    for picture in fed:
        same.setdefault((picture.group.claims[0].tenant_id, picture.sha256), []).append(picture)
    return list(same.values())


def _failure(claim: Claim, refused: Refused) -> Failure:
    return Failure(claim=claim, code=refused.code, message=refused.message, permanent=refused.permanent)


def _not_embeddable(claim: Claim, answer: object) -> Failure:
    """A model that answers nonsense will do so again; any other error may have been a bad moment."""
    message = str(answer) or type(answer).__name__
    return Failure(claim=claim, code="not_embeddable", message=message, permanent=isinstance(answer, NonsenseError))


def _drain(ready: Queue[Result], most: int, coming: Callable[[], int]) -> list[Result]:
    """Take what is there, up to `most`; wait a little for the first, and less for others on their way."""
    results: list[Result] = []
    try:
        results.append(ready.get(timeout=0.25))
        until = time.monotonic() + GATHER_SECONDS
        while len(results) < most:
            left = until - time.monotonic() if ready.empty() and coming() else 0
            results.append(ready.get(timeout=left) if left > 0 else ready.get_nowait())
    except Empty:
        pass
    return results
