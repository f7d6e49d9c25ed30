"""How a picture is fetched from an address that a stranger gave us, without becoming the stranger's hands."""

from __future__ import annotations

import re
import ssl
import zlib
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache

import httpcore
import httpx

from imgsearch.errors import FetchRefused, ObjectMissing, StoreDenied, StoreError
from imgsearch.storage.dial import Allowance, Dialler
from imgsearch.storage.policy import Fetched, FetchPolicy

__all__ = ["FetchPolicy", "Fetched", "fetch"]

REDIRECTS = {301, 302, 303, 307, 308}
LONGEST_URL = 4096  # characters
PIECE = 64 << 10  # bytes unpacked at a time
LONGEST_WAIT = 3600.0  # seconds of Retry-After that we believe
_NAME = re.compile(r"(?!-)[a-z0-9_-]{1,63}(\.(?!-)[a-z0-9_-]{1,63})*\.?")
_NUMBER = re.compile(r"(.*\.)?(\d+|0x[0-9a-f]*)\.?")  # what inet_aton would take for an address: 127.1, 0x7f000001, …


def fetch(url: str, policy: FetchPolicy) -> Fetched:
    """Fetch a picture by http(s).

    Raises FetchRefused where the address or the answer must not be fetched, ObjectMissing (404, 410), StoreDenied
    (401, 403), and StoreError for what is worth trying again (429, 5xx, time-outs, broken connections).
    """
    allowance = Allowance(policy)
    headers = {"User-Agent": "imgsearch", "Accept": "image/*, */*;q=0.1", "Accept-Encoding": "identity"}
    place = _checked(url, policy)
    # No keep-alive between fetches: a connection is never used for a name that was not checked for it.
    with httpcore.ConnectionPool(
        ssl_context=policy.tls or _trust(), network_backend=Dialler(policy, allowance), retries=0
    ) as pool:
        for _ in range(policy.max_redirects + 1):
            answer = _ask(pool, place, headers, allowance)
            if isinstance(answer, Fetched):
                return answer
            place = _next(place, answer, policy)
    raise FetchRefused(f"{_shown(url)} redirects more than {policy.max_redirects} times; use its final address.")


def _ask(
    pool: httpcore.ConnectionPool, place: httpx.URL, headers: Mapping[str, str], allowance: Allowance
) -> Fetched | str:
    """Make one request; return the picture, or the place a redirect names."""
    shown = _shown(str(place))
    # Taken apart here, so that httpcore's own parser never sees the text: two parsers are how checks are slipped past.
    url = httpcore.URL(scheme=place.raw_scheme, host=place.raw_host, port=place.port, target=place.raw_path)
    try:
        with pool.stream("GET", url, headers=[("Host", place.netloc.decode("ascii")), *headers.items()]) as response:
            said = {key.decode("latin-1").lower(): value.decode("latin-1") for key, value in response.headers}
            if response.status in REDIRECTS:
                return said.get("location", "")
            _check_status(response.status, said, shown)
            data = _body(response, said, allowance, shown)
            return Fetched(data, str(place), said.get("content-type", ""))
    except httpcore.TimeoutException as error:
        raise allowance.too_slow() from error
    except httpcore.LocalProtocolError as error:
        raise FetchRefused(f"{shown} cannot be asked for ({error}); check the address.") from error
    except (httpcore.NetworkError, httpcore.ProtocolError) as error:
        cause = error.args[0] if error.args else None
        if isinstance(cause, ssl.SSLCertVerificationError):
            message = f"The certificate of {shown} is not valid ({cause.verify_message}); renew it."
            raise StoreError(message) from error
        raise StoreError(
            f"{shown} did not respond properly ({error or type(error).__name__}); try again later."
        ) from error


def _body(response: httpcore.Response, said: Mapping[str, str], allowance: Allowance, shown: str) -> bytes:
    cap = allowance.total_bytes
    length = said.get("content-length", "")
    if length.isdigit() and int(length) > cap:
        raise allowance.too_large()
    encoding = said.get("content-encoding", "identity").strip().lower()
    if encoding not in {"identity", "", "gzip", "x-gzip", "deflate"}:
        raise FetchRefused(f"{shown} sends an unrequested content encoding {encoding[:40]!r}; use another address.")
    chunks = response.iter_stream()
    parts = bytearray()
    for part in chunks if encoding in {"identity", ""} else _unpacked(chunks, shown):
        parts += part
        allowance.seconds()  # thousands of one-byte chunks may come in one read
        if len(parts) > cap:
            raise allowance.too_large()
    return bytes(parts)


def _unpacked(chunks: Iterable[bytes], shown: str) -> Iterator[bytes]:
    """Unpack gzip or zlib in pieces of at most 64 kB: httpx would unpack a chunk whole, however large it becomes."""
    unpack = zlib.decompressobj(32 + zlib.MAX_WBITS)
    try:
        for chunk in chunks:
            packed = chunk
            while packed and not unpack.eof:
                yield unpack.decompress(packed, PIECE)
                packed = unpack.unconsumed_tail
        while not unpack.eof and (piece := unpack.decompress(b"", PIECE)):
            yield piece  # held back by the size of the last piece, not by missing input
    except zlib.error as error:
        raise FetchRefused(f"{shown} returns a broken gzip stream; use another address.") from error
    if not unpack.eof:
        raise StoreError(f"{shown} sent only part of a gzip stream; try again later.")


def _check_status(status: int, said: Mapping[str, str], shown: str) -> None:
    if status in {200, 203}:
        return
    if status in {404, 410}:
        raise ObjectMissing(f"{shown} does not exist ({status}); correct the address of the picture.")
    if status in {401, 403}:
        raise StoreDenied(f"{shown} refuses us ({status}); make the picture public or use a signed address.")
    if status in {408, 425, 429} or status >= 500:
        raise StoreError(f"{shown} cannot respond now ({status}); try again later.", retry_after=_wait(said))
    raise FetchRefused(f"{shown} returns {status} and no picture; check the address.")


def _next(place: httpx.URL, location: str, policy: FetchPolicy) -> httpx.URL:
    if not location:
        raise FetchRefused(f"{_shown(str(place))} redirects to nowhere; use its final address.")
    try:
        target = _checked(str(place.join(location)), policy)
    except httpx.InvalidURL as error:
        raise FetchRefused(f"{_shown(str(place))} redirects to no usable address ({error}); use another.") from error
    if place.scheme == "https" and target.scheme == "http":
        raise FetchRefused(f"{_shown(str(place))} redirects from https to http; use its final address.")
    return target


def _checked(url: str, policy: FetchPolicy) -> httpx.URL:
    """Return the parsed address where its form is one we fetch; its numbers are judged when the connection is made."""
    if len(url) > LONGEST_URL or any(c <= " " or c == "\x7f" or c == "\\" for c in url):
        raise FetchRefused("The address is too long or holds spaces or control characters; percent-encode them.")
    try:
        place = httpx.URL(url)
        port = place.port
    except (httpx.InvalidURL, ValueError, UnicodeError) as error:
        raise FetchRefused(f"{_shown(url)} is no address ({error}); write https://host/path.") from error
    if place.scheme not in {"http", "https"}:
        raise FetchRefused(f"{place.scheme[:20] or 'An address without scheme'}: is not fetched; use http or https.")
    if place.userinfo or "@" in place.netloc.decode("ascii"):
        raise FetchRefused("An address with user name or password is not fetched; use a signed address.")
    host = place.raw_host.decode("ascii").lower()
    port = port or (443 if place.scheme == "https" else 80)
    if not policy.allows_port(host, port):
        message = f"Port {port} of {host[:100]} is not fetched from; use 80 or 443, or have it allowed."
        raise FetchRefused(message, advice=f"{host[:100]}:{port} in IMGSEARCH_FETCH_ALLOW allows it.")
    if ":" not in host:
        _check_name(host)
    elif "%" in host:
        raise FetchRefused("An address with a zone is not fetched; use a public one.")
    return place


def _check_name(host: str) -> None:
    plain = re.fullmatch(r"(0|[1-9]\d{0,2})(\.(0|[1-9]\d{0,2})){3}", host)
    if len(host) > 253 or not _NAME.fullmatch(host) or (_NUMBER.fullmatch(host) and not plain):
        raise FetchRefused(
            f"{host[:100]!r} is neither a name nor a plain IP address; write a plain host name or IP address."
        )


def _wait(said: Mapping[str, str]) -> float | None:
    """Return the seconds of a Retry-After header (a number or a date), where there is one."""
    text = said.get("retry-after", "").strip()
    if not text:
        return None
    try:
        seconds = float(text) if text.isdigit() else (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds()
    except (ValueError, TypeError):
        return None
    return min(max(seconds, 0.0), LONGEST_WAIT)


def _shown(url: str) -> str:
    """Return what a message may show of an address: no query, which may hold a signature, nor a password."""
    scheme, separator, rest = url.partition("://")
    rest = re.split(r"[?#]", rest, maxsplit=1)[0].rpartition("@")[2]
    return f"{scheme}{separator}{rest}"[:200] if separator else url[:50]


@cache
def _trust() -> ssl.SSLContext:
    return httpx.create_ssl_context()  # 30 to 50 ms of reading certificates: once per process
