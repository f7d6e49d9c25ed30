"""The device's own thread: embeds what is decoded, without waiting for a full batch, for the completer to write."""

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
from imgsearch_workers.model.encoder import Pixels, Vectors
from imgsearch_workers.pipeline.batch import DeviceLost
from imgsearch_workers.pipeline.completer import Completer
from imgsearch_workers.pipeline.embedder import Embedder
from imgsearch_workers.pipeline.in_flight import InFlight
from imgsearch_workers.pipeline.prefetcher import Deferred, Failed, Prefetcher, Prepared, Result, Unchanged
from imgsearch_workers.process.traces import span
from imgsearch_workers.process.watchdog import Watchdog

log = logging.getLogger("imgsearch.worker")
MEMORY_REST = 5.0  # seconds until a picture is tried again that did not fit into memory alone
MEMORY_TRIES = 3  # passes in a row for which memory did not suffice: then a fresh process may do better
GATHER_SECONDS = 0.02  # a pass waits so long for pictures that are being decoded: small batches cost more per picture
LOST_SECONDS = 1.5  # what may be given back before a process with a lost device ends


class Device:
    """Runs forward passes until told to end; `on_lost` is called when this process must not go on."""

    def __init__(
        self,
        embedders: Sequence[Embedder],
        prefetcher: Prefetcher,
        in_flight: InFlight,
        completer: Completer,
        watchdog: Watchdog,
        *,
        on_lost: Callable[[], None],
    ) -> None:
        self._embedders, self._prefetcher, self._in_flight = embedders, prefetcher, in_flight
        self._most = max(one.batch.most for one in embedders)
        self._completer, self._watchdog, self._on_lost = completer, watchdog, on_lost
        self._too_little_memory = 0
        self._culprits: list[Claim] = []
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="device", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def is_alive(self) -> bool:
        """Return whether forward passes are still run."""
        return self._thread.is_alive()

    def end(self) -> None:
        """Stop when nothing is left in flight."""
        self._ending.set()

    def _run(self) -> None:
        try:
            while not self._ending.is_set() or len(self._in_flight):
                self._step(_drain(self._prefetcher.ready, self._most, self._prefetcher.coming))
        except DeviceLost as error:
            log.critical("the device is lost to this process: %s", error)
            self._end_process(str(error))
        except Exception:
            log.exception("the device's thread met a bug")
            self._on_lost()  # leases run out by themselves: whatever caused this must not be tried unspent for ever

    def _step(self, results: Sequence[Result]) -> None:
        prepared: list[Prepared] = []
        for result in results:
            if isinstance(result, Prepared):
                prepared.append(result)
                continue
            claims = self._in_flight.close(result.group)
            if isinstance(result, Deferred):
                self._completer.release(claims, result.delay)
            elif isinstance(result, Unchanged):
                self._completer.confirm(claims)
            else:
                self._completer.put([_failure(claim, result) for claim in claims])
        if prepared:
            self._embed(_merged(prepared))
        elif self._watchdog.wanted():
            self._prove()

    def _embed(self, pictures: Sequence[list[Prepared]]) -> None:
        """Embed pictures for each space that has claimed them, then answer everybody who waits for them."""
        outcomes: list[dict[int, Vectors | Exception]] = [{} for _ in pictures]
        for embedder in self._embedders:
            space_id = embedder.space_id
            wanted = {row: pixels for row, same in enumerate(pictures) for pixels in _pixels(same, space_id)}
            if not wanted:
                continue
            rows, pixels = list(wanted), list(wanted.values())
            try:
                with self._watchdog.forward_pass(), span("imgsearch.forward", pictures=len(pixels), space=space_id):
                    found = embedder.batch.embed(pixels)
            except DeviceLost as error:
                # Perhaps one of these did it: their attempt is spent, and they are tried alone the next time.
                self._culprits = [claim for row in error.rows for claim in self._close(pictures[rows[row]])]
                raise
            for row, outcome in zip(rows, found, strict=True):
                outcomes[row][space_id] = outcome
        for same, by_space in zip(pictures, outcomes, strict=True):
            for prepared in same:
                for claim in self._in_flight.close(prepared.group):
                    self._answer(claim, prepared, by_space.get(claim.space_id))
        self._check(*(outcome for by_space in outcomes for outcome in by_space.values()))

    def _answer(self, claim: Claim, prepared: Prepared, outcome: Vectors | Exception | None) -> None:
        if outcome is None:  # claimed for another space after its pixels had been made
            self._completer.release([claim], 0)
        elif isinstance(outcome, np.ndarray):
            made = Delivery(
                claim=claim,
                sha256=prepared.sha256,
                embedding=outcome,
                pdq=prepared.pdq.text,
                quality=prepared.pdq.quality,
                incomplete=prepared.incomplete,
            )
            self._completer.put([made])
        elif is_out_of_memory(outcome):
            self._completer.release([claim], MEMORY_REST)
        else:
            self._completer.put([_not_embeddable(claim, outcome)])

    def _prove(self) -> None:
        """Run a real pass on a fixed picture, because somebody asks whether the models still answer."""
        try:
            with self._watchdog.forward_pass():
                for embedder in self._embedders:
                    [outcome] = embedder.batch.embed([embedder.probe])
                    self._check(outcome)
                    if isinstance(outcome, Exception):
                        raise outcome
        except DeviceLost:
            raise
        except Exception as error:  # noqa: BLE001 - the pulse has not beaten: that is what whoever asked sees
            log.error("the model does not answer for the probe picture: %s", error)

    def _close(self, same: list[Prepared]) -> list[Claim]:
        return [claim for prepared in same for claim in self._in_flight.close(prepared.group)]

    def _check(self, *outcomes: object) -> None:
        """End a process whose device has no room even for one picture, again and again."""
        starved = [isinstance(outcome, Exception) and is_out_of_memory(outcome) for outcome in outcomes]
        self._too_little_memory = self._too_little_memory + 1 if starved and all(starved) else 0
        if self._too_little_memory >= MEMORY_TRIES:
            raise DeviceLost("there is no memory left for even one picture")

    def _end_process(self, reason: str) -> None:
        held = self._in_flight.shut()
        spent = {claim.key for claim in self._culprits}
        self._completer.put(
            [Failure(claim=c, code=queue.LOST, message=reason, permanent=False) for c in self._culprits]
        )
        self._completer.release([claim for claim in held if claim.key not in spent], 0)
        self._completer.close(LOST_SECONDS)
        self._on_lost()


def _merged(prepared: Sequence[Prepared]) -> list[list[Prepared]]:
    """Put the same bytes of one tenant together: fetched addresses show only now that they are the same."""
    same: dict[tuple[str, bytes], list[Prepared]] = {}
    for picture in prepared:
        same.setdefault((picture.group.claims[0].tenant_id, picture.sha256), []).append(picture)
    return list(same.values())


def _pixels(same: Sequence[Prepared], space_id: int) -> list[Pixels]:
    """Return the pixels of one picture for a space that somebody has claimed it for; none where nobody has."""
    if not any(claim.space_id == space_id for prepared in same for claim in list(prepared.group.claims)):
        return []
    return [prepared.pixels[space_id] for prepared in same if space_id in prepared.pixels][:1]


def _failure(claim: Claim, failed: Failed) -> Failure:
    return Failure(claim=claim, code=failed.code, message=failed.message, permanent=failed.permanent)


def _not_embeddable(claim: Claim, outcome: object) -> Failure:
    """A model that answers nonsense will do so again; any other error may have been a bad moment."""
    message = str(outcome) or type(outcome).__name__
    return Failure(claim=claim, code="not_embeddable", message=message, permanent=isinstance(outcome, NonsenseError))


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
