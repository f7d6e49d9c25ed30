"""A reverse proxy with TLS on this machine: what stands before `imgsearch serve` where strangers are served."""

from __future__ import annotations

import datetime
import ipaddress
import re
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


@contextmanager
def tls_before(url: str, folder: Path) -> Iterator[str]:
    """Pass requests on with what a proxy adds; yield the https address. One request per connection."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(_certificate(folder))
    behind = urlsplit(url)
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                client, address = listening.accept()
            except OSError:
                return
            threading.Thread(target=_pass_on, args=(context, client, address[0], behind.port), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield f"https://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        listening.close()


def _pass_on(context: ssl.SSLContext, client: socket.socket, address: str, port: int) -> None:
    with suppress(OSError), context.wrap_socket(client, server_side=True) as browser:
        asked = b""
        while b"\r\n\r\n" not in asked:
            more = browser.recv(65536)
            if not more:
                return
            asked += more
        head, _, body = asked.partition(b"\r\n\r\n")
        length = re.search(rb"\r\ncontent-length: *(\d+)", head, flags=re.IGNORECASE)
        while length and len(body) < int(length[1]):
            body += browser.recv(65536)  # all of it first: a TLS socket is for one thread at a time
        head = re.sub(rb"\r\n(?:connection|x-forwarded-[a-z]+):[^\r]*", b"", head, flags=re.IGNORECASE)
        added = f"\r\nX-Forwarded-For: {address}\r\nX-Forwarded-Proto: https\r\nConnection: close\r\n\r\n"
        with socket.create_connection(("127.0.0.1", port)) as server:
            server.sendall(head + added.encode() + body)
            while data := server.recv(65536):
                browser.sendall(data)


def _certificate(folder: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    pem = folder / "proxy.pem"
    pem.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return pem
