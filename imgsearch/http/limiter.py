"""How often one key, one user of the host's app, or one address may ask; counted by the library `limits`.

That is the engine of Flask-Limiter without its hooks: an extension must not touch the host's own limiter or
configuration. Requests are counted in this process, or in Redis for all processes together. Where Redis does not
answer, this process counts by itself for a while: a limit is not worth an outage.
"""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from hashlib import sha256
from ipaddress import IPv6Address
from threading import Lock
from typing import TYPE_CHECKING

from imgsearch.errors import SettingsError
from imgsearch.extras import install
from imgsearch.http.identity import Identity

if TYPE_CHECKING:
    from limits import RateLimitItem
    from limits.strategies import RateLimiter

NEW_TEXTS = 60  # that one visitor may have embedded in a minute, behind a key that stands in a browser
GUESSES = 20  # wrong keys that one address may send in a minute; each costs a look-up in the database
REMEMBERED = (
    1024  # keys that worked lately, and that no longer do: whoever shares an address with a guesser is not shut out
)
SULK = 10.0  # seconds to count without Redis after it failed
PATIENCE = 0.2  # seconds to wait for Redis


class Limiter:
    """`per_second` requests on average, twice as many at once; 0: no limit at all. `redis_url` "": in memory."""

    def __init__(self, per_second: float, redis_url: Callable[[], str] = str) -> None:
        self._per_second = per_second
        self._redis_url = redis_url
        self._lock = Lock()
        self._here: RateLimiter | None = None
        self._shared: RateLimiter | None = None
        self._without_redis_until = 0.0
        self._worked: OrderedDict[bytes, Identity | None] = OrderedDict()
        self._ended: OrderedDict[bytes, Identity | None] = OrderedDict()

    def take(self, who: str) -> float:
        """Count one request of `who`; return 0, or in how many seconds the next is welcome."""
        return self._hit(_requests(self._per_second), who) if self._per_second else 0.0

    def take_texts(self, who: Sequence[str], count: int) -> float:
        """Count texts that a worker has to embed, of a key and of one address behind it; return as `take` does."""
        if not self._per_second:
            return 0.0
        per_minute = (10 * NEW_TEXTS, NEW_TEXTS)
        return max(self._hit(_texts(most), name, count) for most, name in zip(per_minute, who, strict=True))

    def may_try(self, address: str, key: str) -> float:
        """Return 0 where a key may be looked up, or in how many seconds; asked before the database is."""
        digest = _digest(key)
        if not self._per_second or digest in self._worked:
            return 0.0
        who = self._guesser(address, digest)
        return self._ask(lambda counts: 0.0 if counts.test(_guesses(), who) else _wait(counts, _guesses(), who))

    def worked(self, key: str) -> Identity | None:
        """Return whose a key was when it worked lately."""
        return self._worked.get(_digest(key))

    def tried(self, address: str, key: str, whose: Identity | None) -> None:
        """Note whose a key is, None: it did not work. One that no longer does has an allowance of its own: no guess."""
        digest = _digest(key)
        with self._lock:
            before, now = (self._ended, self._worked) if whose else (self._worked, self._ended)
            if whose or digest in before:
                before.pop(digest, None)
                now[digest] = whose
                while len(now) > REMEMBERED:
                    now.popitem(last=False)
        if whose is None and self._per_second:
            self._hit(_guesses(), self._guesser(address, digest))

    def _guesser(self, address: str, digest: bytes) -> str:
        return f"ended/{digest.hex()}" if digest in self._ended else address

    def _hit(self, item: RateLimitItem, who: str, count: int = 1) -> float:
        return self._ask(lambda counts: 0.0 if counts.hit(item, who, cost=count) else _wait(counts, item, who))

    def _ask(self, question: Callable[[RateLimiter], float]) -> float:
        from limits.errors import StorageError

        if time.monotonic() >= self._without_redis_until and (shared := self._in_redis()):
            try:
                return question(shared)
            except StorageError:
                self._without_redis_until = time.monotonic() + SULK
        return question(self._in_memory())

    def _in_memory(self) -> RateLimiter:
        from limits.storage import MemoryStorage
        from limits.strategies import SlidingWindowCounterRateLimiter

        with self._lock:
            if self._here is None:
                self._here = SlidingWindowCounterRateLimiter(MemoryStorage())
            return self._here

    def _in_redis(self) -> RateLimiter | None:
        from limits.errors import ConfigurationError
        from limits.storage import storage_from_string
        from limits.strategies import SlidingWindowCounterRateLimiter

        url = self._redis_url()
        with self._lock:
            if url and self._shared is None:
                scheme, _, place = url.partition("://")  # redis-py and Celery spell a socket in their own ways
                spelled = f"redis+unix://{place}" if scheme in {"unix", "redis+socket"} else url
                options: dict[str, float | str | bool] = {
                    "socket_timeout": PATIENCE,
                    "socket_connect_timeout": PATIENCE,
                    "key_prefix": "imgsearch",
                }
                try:
                    store = storage_from_string(spelled, wrap_exceptions=True, **options)
                except ConfigurationError as error:
                    raise SettingsError(
                        f"Requests cannot be counted in Redis: {error}. Set IMGSEARCH_HTTP_RATE_STORE=memory, or "
                        f"{install('broker')} and a redis:// URL in IMGSEARCH_REDIS_URL."
                    ) from error
                self._shared = SlidingWindowCounterRateLimiter(store)
            return self._shared


def origin(address: str) -> str:
    """Return whom an address counts as: a customer with IPv6 has 2^64 of them."""
    host = address.partition(":")[0] if address.count(":") == 1 else address  # some proxies write the port too
    if ":" not in host:
        return host
    try:
        found = IPv6Address(host)
    except ValueError:  # a proxy's word, whatever it is
        return host
    return str(found.ipv4_mapped or IPv6Address(int(found) >> 64 << 64))


def _digest(key: str) -> bytes:
    return sha256(key.encode()).digest()


def _requests(per_second: float) -> RateLimitItem:
    from limits import RateLimitItemPerSecond

    most = max(1, int(2 * per_second))
    return RateLimitItemPerSecond(most, math.ceil(most / per_second), namespace="requests")


def _texts(most: int) -> RateLimitItem:
    from limits import RateLimitItemPerMinute

    return RateLimitItemPerMinute(most, namespace="texts")


def _guesses() -> RateLimitItem:
    from limits import RateLimitItemPerMinute

    return RateLimitItemPerMinute(GUESSES, namespace="guesses")


def _wait(counts: RateLimiter, item: RateLimitItem, who: str) -> float:
    return max(0.01, counts.get_window_stats(item, who).reset_time - time.time())
