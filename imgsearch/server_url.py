"""Addresses of the broker and of the picture store: refused where nobody could use them, and never repeated."""

from __future__ import annotations

from urllib.parse import SplitResult, parse_qs, urlsplit

ESCAPES = "with %23 for a #, %2F for a /, %3F for a ? and %40 for an @ in the password"
BROKERS = {"amqp", "amqps", "pyamqp", "sentinel", "memory", "sqs", "filesystem"}  # which Celery knows as well
SOCKETS = {"redis+socket", "unix"}
CERTIFICATES = {"none", "optional", "required"}
BUCKETS = {"s3", "s3a", "gs", "az", "azure", "abfs", "abfss"}


def broker_url(url: str) -> str:
    """Return `url` where Celery and Redis's own client can read it; raises ValueError, which quotes none of it."""
    if not url:
        return url
    parts = _split(url, f"write redis://:password@host:6379/0, {ESCAPES}")
    if parts.scheme in SOCKETS and parts.path.strip("/"):
        return url
    if parts.scheme in BROKERS:
        return url
    if parts.scheme not in {"redis", "rediss"} or "://" not in url:
        raise ValueError("write redis://host:6379/0, rediss://… with TLS, or redis+socket:///path")
    database = parts.path.strip("/")
    if parts.fragment or "@" in parts.path + parts.query or not _has_port(parts):
        raise ValueError(f"write redis://:password@host:6379/0, {ESCAPES}")
    if database and not (database.isascii() and database.isdecimal()):
        raise ValueError("a database of Redis is a number: write redis://host:6379/0")
    asked = parse_qs(parts.query).get("ssl_cert_reqs", ["required"])[0].lower().removeprefix("cert_")
    if asked not in CERTIFICATES:
        raise ValueError("ssl_cert_reqs is none, optional or required")
    return url


def store_url(url: str) -> str:
    """Return `url` where it can be a picture store; raises ValueError, which quotes none of it."""
    parts = _split(url, "write file:///absolute/path, s3://bucket/prefix or gs://bucket/prefix")
    if parts.scheme == "memory" and "://" in url:
        return url
    if parts.query or parts.fragment:
        raise ValueError("write %23 for a # and %3F for a ? in a path")
    if parts.scheme == "file":
        if parts.netloc not in {"", "localhost"} or not parts.path.startswith("/"):
            raise ValueError("write file:///absolute/path, with three slashes")
    elif parts.scheme not in BUCKETS or not parts.netloc:
        raise ValueError("write file:///absolute/path, s3://bucket/prefix or gs://bucket/prefix")
    elif "@" in parts.netloc and parts.scheme in {"s3", "s3a", "gs"}:
        raise ValueError("credentials go into AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, not into the address")
    return url


def _split(url: str, cure: str) -> SplitResult:
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ValueError(cure) from None
    if any(sign <= " " or sign == "\x7f" for sign in url):
        raise ValueError(f"{cure}, and %20 for a blank")
    return parts


def _has_port(parts: SplitResult) -> bool:
    try:
        return parts.port is None or parts.port > 0
    except ValueError:  # its words quote what may be a part of a password
        return False
