"""From claims to pixels: threads fetch the bytes, child processes decode them."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from queue import Queue

from imgsearch import picture
from imgsearch.errors import FetchRefused, ImgsearchError, ObjectMissing, PictureError, StoreDenied, StoreError
from imgsearch.ops import metrics
from imgsearch.picture.hashes import Pdq, of_plane
from imgsearch.storage import Fetched, FetchPolicy, Store, read
from imgsearch_workers.decoding.decoder import Decoded, DecodePool
from imgsearch_workers.model.encoder import Pixels
from imgsearch_workers.pipeline.circuit_breaker import CircuitBreaker
from imgsearch_workers.pipeline.describer import Describer
from imgsearch_workers.pipeline.hosts import Hosts
from imgsearch_workers.pipeline.in_flight import Group
from imgsearch_workers.process.traces import span

log = logging.getLogger("imgsearch.worker")
RETRIED_CODES = frozenset({"decoder_timeout", "decoder_crashed"})  # the machine may have been at fault


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """Pixels (S, S, 3) uint8 of one picture, for everybody in its group: by the spaces whose models want them so."""

    group: Group
    pixels: Mapping[int, Pixels] = field(repr=False)
    sha256: bytes
    pdq: Pdq
    incomplete: bool = False


@dataclass(frozen=True, kw_only=True)
class Failed:
    """This picture cannot be embedded; `permanent`: nor ever will be."""

    group: Group
    code: str
    message: str
    permanent: bool


@dataclass(frozen=True, kw_only=True)
class Deferred:
    """The store is out, the picture is not at fault: give it back without spending the attempt."""

    group: Group
    delay: float


@dataclass(frozen=True, kw_only=True)
class Unchanged:
    """The address was read anew and answers the bytes whose vectors are there already."""

    group: Group


Result = Prepared | Failed | Deferred | Unchanged


class Prefetcher:
    """Fetches and decodes in `threads` threads; results arrive in `ready`, in any order.

    A picture is fetched once, and decoded once for all models that want the same pixels: `pools` by space.
    """

    def __init__(
        self,
        store: Store,
        policy: FetchPolicy,
        pools: Mapping[int, DecodePool],
        *,
        threads: int,
        thumbnails: bool = True,
        describer: Describer | None = None,
    ) -> None:
        self.ready: Queue[Result] = Queue()
        self.breaker = CircuitBreaker(store)
        self._hosts = Hosts()
        self._store, self._policy, self._pools, self._thumbnails = store, policy, pools, thumbnails
        self._describer = describer
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="prefetcher")
        self._waiting: dict[Future[None], Group] = {}
        self._lock = threading.Lock()

    def submit(self, groups: list[Group]) -> None:
        """Fetch and decode pictures, one of each group."""
        for group in groups:
            future = self._threads.submit(self._prepare, group)
            with self._lock:
                self._waiting[future] = group
            future.add_done_callback(self._forget)

    def coming(self) -> int:
        """Return how many pictures are yet to arrive in `ready`."""
        return len(self._waiting)

    def cancel(self) -> list[Group]:
        """Take back what nobody has begun to read."""
        with self._lock:
            waiting = list(self._waiting.items())
        return [group for future, group in waiting if future.cancel()]

    def close(self) -> None:
        """Begin nothing more. What is being read may take its time; nobody waits for it."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _forget(self, future: Future[None]) -> None:
        with self._lock:
            self._waiting.pop(future, None)

    def _prepare(self, group: Group) -> None:
        try:
            self.ready.put(self._read(group))
        except PictureError as error:
            self.ready.put(_failed(group, error.code, error, permanent=error.code not in RETRIED_CODES))
        except ImgsearchError as error:  # no decoder can be started: no picture is to blame
            log.error("cannot decode: %s", error)
            self.ready.put(Deferred(group=group, delay=5.0))
        except Exception as error:
            log.exception("a bug met image %s", group.claims[0].image_id, extra=group.claims[0].names())
            self.ready.put(_failed(group, "internal", error, permanent=False))

    def _read(self, group: Group) -> Result:
        first = group.claims[0]
        if (resting := self._hosts.resting(first.uri)) is not None:
            return _failed(group, "fetch_failed", resting, permanent=False)
        try:
            with metrics.timed("fetch"), span("imgsearch.fetch", first):
                fetched = read(first.uri, self._store, self._policy, picture.DEFAULT_LIMITS.max_bytes)
        except ObjectMissing as error:
            self._hosts.answered(first.uri)
            return _failed(group, "missing", error, permanent=False)
        except FetchRefused as error:
            if error.advice:
                log.warning("image %s: %s %s", first.image_id, error, error.advice, extra=first.names())
            return _failed(group, "fetch_refused", error, permanent=True)
        except StoreError as error:
            return self._unavailable(group, error)
        self.breaker.over(first.uri)
        self._hosts.answered(first.uri)
        data = fetched.data
        digest = picture.digest(data)
        if first.sha256 is not None and digest != first.sha256:
            return _other_bytes(group)
        if digest == first.before:
            return Unchanged(group=group)
        if is_text(first.uri, data):
            return _failed(group, "text_answered", _text_answered(fetched), permanent=False)
        with metrics.timed("decode"), span("imgsearch.decode", first):
            decoded = self._decode(group, data)
        one = next(iter(decoded.values()))
        self._keep_thumbnail(digest, one)
        if self._describer is not None:
            for key in {(claim.tenant_id, claim.image_id) for claim in list(group.claims)}:
                self._describer.put(key, digest, one)
        return Prepared(
            group=group,
            pixels={space: of.pixels for space, of in decoded.items()},
            sha256=digest,
            pdq=of_plane(one.plane),
            incomplete=not one.whole,
        )

    def _decode(self, group: Group, data: bytes) -> dict[int, Decoded]:
        """Decode for the spaces that have claimed the picture by now, and for others that want the same pixels."""
        wanted = {id(pool): pool for pool in (self._pools[claim.space_id] for claim in list(group.claims))}
        done = {}
        for number, (key, pool) in enumerate(wanted.items()):
            done[key] = pool.decode(data, thumbnail=self._thumbnails and not number)
        return {space: done[id(pool)] for space, pool in self._pools.items() if id(pool) in done}

    def _unavailable(self, group: Group, error: StoreError) -> Result:
        code = "store_denied" if isinstance(error, StoreDenied) else "store_unavailable"
        if not group.claims[0].uri.startswith("store:"):
            code = "fetch_failed"  # an address of theirs, not our store
            self._hosts.failed(group.claims[0].uri, error)
        seconds = self.breaker.noticed(group.claims[0].uri, error)
        if seconds is not None:
            return Deferred(group=group, delay=seconds)
        return _failed(group, code, error, permanent=False)

    def _keep_thumbnail(self, digest: bytes, decoded: Decoded) -> None:
        if decoded.thumbnail is not None:
            try:
                self._store.put_thumbnail(digest, decoded.thumbnail)
            except StoreError:
                return  # a page can make it later; the vector must not wait for it


def is_text(uri: str, data: bytes) -> bool:
    """Return whether a host answered a page or an error in words, which another time may be the picture."""
    if not uri.lower().startswith(("http://", "https://")):
        return False
    start = data[:512].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    is_markup = start.startswith((b"<", b"{", b"[")) and b"<svg" not in start
    return is_markup and not any(byte < 9 for byte in start)


def _text_answered(fetched: Fetched) -> StoreError:
    kind = "".join(c for c in fetched.kind.partition(";")[0] if c.isprintable()).strip()[:60] or "text"
    return StoreError(f"The address answered {kind}. {picture.CODES['text_answered']}")


def _other_bytes(group: Group) -> Failed:
    """An address of theirs may answer something new at any time; what lies in our store may not.

    Nothing is replaced here: an address that answers other bytes to each who asks would leave the search again and
    again. The vectors of before stay until somebody asks for what is there now.
    """
    addresses = {claim.uri for claim in group.claims}
    if not group.claims[0].uri.startswith(("http://", "https://")):
        message = "The store's bytes are not the ones that were added (digests differ); add the picture again."
        return _failed(group, "corrupt", StoreError(message), permanent=False)
    # Others of the same bytes may have an address that still answers them: they are tried again, with others.
    return _failed(group, "changed", StoreError(picture.CODES["changed"]), permanent=len(addresses) == 1)


def _failed(group: Group, code: str, error: Exception, *, permanent: bool) -> Failed:
    return Failed(group=group, code=code, message=str(error) or type(error).__name__, permanent=permanent)
