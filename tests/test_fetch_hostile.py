"""A hostile answer costs neither time nor memory beyond the policy, and TLS vouches for the name."""

from __future__ import annotations

import datetime
import ssl
import threading
import time
import tracemalloc
import zlib
from collections.abc import Callable
from dataclasses import replace

import pytest

from imgsearch.errors import FetchRefused, StoreError
from imgsearch.storage.policy import FetchPolicy
from imgsearch.storage.web import fetch
from tests.faulty_http import Asked, local, serving

BODY = b"picture"
CAP = 2 << 20  # bytes


def trickle_head(asked: Asked) -> None:
    asked.send(b"HTTP/1.1 200 OK\r\n")
    for _ in range(3000):
        asked.send(b"X")
        time.sleep(0.05)


def trickle_body(asked: Asked) -> None:
    asked.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    for _ in range(3000):
        asked.send(b"X")
        time.sleep(0.05)


def silent(asked: Asked) -> None:
    time.sleep(90)


def endless_chunks(asked: Asked) -> None:
    asked.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        asked.send(b"10000\r\n" + b"x" * 65536 + b"\r\n")


def endless_tiny_chunks(asked: Asked) -> None:
    asked.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        asked.send(b"1\r\nx\r\n" * 1000)


def endless_extension(asked: Asked) -> None:
    asked.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;")
    while True:
        asked.send(b"x" * 65536)


def endless_headers(asked: Asked) -> None:
    asked.send(b"HTTP/1.1 200 OK\r\n")
    while True:
        asked.send(b"X-Y: " + b"z" * 8000 + b"\r\n")


def endless_hints(asked: Asked) -> None:
    while True:
        asked.send(b"HTTP/1.1 103 Early Hints\r\nX: y\r\n\r\n" * 100)


def endless_stream(asked: Asked) -> None:
    asked.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
    while True:
        asked.send(b"x" * 65536)


def ten_gigabytes(asked: Asked) -> None:
    asked.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10000000000\r\n\r\n")
    while True:
        asked.send(b"x" * 65536)


def bomb(asked: Asked) -> None:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    zeros = bytes(1 << 18)
    asked.send(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nConnection: close\r\n\r\n")
    for _ in range(2000):
        asked.send(packer.compress(zeros))
    asked.send(packer.flush())


def zstd(asked: Asked) -> None:
    asked.answer(200, {"Content-Encoding": "zstd"}, b"x")


@pytest.mark.parametrize(
    ("behave", "error", "says"),
    [
        (trickle_head, StoreError, "within 1.5 s"),
        (trickle_body, StoreError, "within 1.5 s"),
        (silent, StoreError, "within 1.5 s"),
        (endless_chunks, FetchRefused, "larger than"),
        (endless_tiny_chunks, StoreError, None),  # whichever comes first, the cap or the deadline
        (endless_extension, StoreError, None),
        (endless_headers, StoreError, None),
        (endless_hints, StoreError, None),
        (endless_stream, FetchRefused, "larger than"),
        (ten_gigabytes, FetchRefused, "larger than"),
        (bomb, FetchRefused, "larger than"),
        (zstd, FetchRefused, "unrequested content encoding"),
    ],
)
def test_hostile_answers_end_in_time_and_in_memory(
    behave: Callable[[Asked], None], error: type[StoreError], says: str | None
) -> None:
    with serving(behave) as server:
        policy = local(server.port, deadline=1.5, max_bytes=CAP)
        tracemalloc.start()
        started = time.monotonic()
        try:
            with pytest.raises(error, match=says):
                fetch(f"http://pictures.test:{server.port}/", policy)
            took, (_, peak) = time.monotonic() - started, tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert took < 45  # without the deadline it would go on for minutes
    # The cap, 64 kB, an eighth that bytearray allocates ahead, and 1 MB for TLS, parsing and the test's own server.
    assert peak < CAP * 9 // 8 + (64 << 10) + (1 << 20)


def test_a_dead_resolver_does_not_outlive_the_deadline() -> None:
    done = threading.Event()

    def hang(host: str, port: int) -> list[str]:
        done.wait(120)
        return ["8.8.8.8"]

    started = time.monotonic()
    with pytest.raises(StoreError, match="within"):
        fetch("http://hangs.example/", FetchPolicy(resolve=hang, deadline=0.5))
    assert time.monotonic() - started < 60
    done.set()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext, list[str | None]]:
    """A server with a certificate for right.test, a client that trusts it, and the names that were asked for."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "right.test")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("right.test")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = tmp_path_factory.mktemp("tls") / "right.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    pem.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(pem)
    names: list[str | None] = []
    server.sni_callback = lambda _socket, name, _context: names.append(name)
    return server, ssl.create_default_context(cafile=str(pem)), names


def test_tls_is_checked_against_the_name_not_the_number(
    authority: tuple[ssl.SSLContext, ssl.SSLContext, list[str | None]],
) -> None:
    tls, trust, names = authority
    with serving(lambda asked: asked.answer(200, body=BODY), tls=tls) as server:
        policy = local(server.port, "right.test", tls=trust)
        assert fetch(f"https://right.test:{server.port}/", policy).data == BODY
        assert names == ["right.test"]
        started = time.monotonic()
        for host in ("wrong.test", "127.0.0.1"):
            with pytest.raises(StoreError, match="certificate"):
                fetch(f"https://{host}:{server.port}/", local(server.port, host, tls=trust))
        with pytest.raises(StoreError, match="certificate"):
            fetch(f"https://right.test:{server.port}/", local(server.port, "right.test"))
        assert time.monotonic() - started < 30
        assert len(server.asked) == 1, "nothing is asked of a server whose name is wrong"


def test_tls_that_never_shakes_hands_ends_in_time() -> None:
    with serving(silent) as server, pytest.raises(StoreError, match="within"):
        fetch(f"https://pictures.test:{server.port}/", local(server.port, deadline=0.5))


def test_https_does_not_become_http(authority: tuple[ssl.SSLContext, ssl.SSLContext, list[str | None]]) -> None:
    tls, trust, _ = authority
    to = {"Location": "http://right.test/"}
    policy = local(0, "right.test", tls=trust, allow_hosts=frozenset({"right.test"}))
    with serving(lambda asked: asked.answer(302, to), tls=tls) as server:
        policy = replace(policy, ports=frozenset({server.port}))
        with pytest.raises(FetchRefused, match="from https to http"):
            fetch(f"https://right.test:{server.port}/", policy)
