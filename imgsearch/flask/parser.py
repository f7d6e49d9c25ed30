"""Requests as RFC 9112 writes them, and no others: what two servers could read in two ways is refused.

waitress forgives more than a server should that may stand behind a proxy: a length said twice, folded headers, a
missing or second Host, and an address of another host in the first line.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from waitress.parser import HTTPRequestParser, ParsingError
from waitress.receiver import ChunkedReceiver
from waitress.utilities import BadRequest

# A reader that keeps all of a line until it ends copies it with each piece that arrives.
LONGEST_CHUNK_LINE = 256  # bytes
LONGEST_TRAILER = 8192
LONGEST_LENGTH = 18  # digits of Content-Length; int() refuses thousands of them with an error of its own
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~%!$&'()*+,;=-]*)(:[0-9]{0,5})?")


class StrictParser(HTTPRequestParser):  # type: ignore[misc]
    """waitress's parser behind a gate."""

    def received(self, data: bytes) -> int:
        """Take what arrived; return how many bytes of it were ours."""
        consumed: int = super().received(data)
        body = self.body_rcv
        if self.error or body is None:  # "100 Continue" would take a refusal back, or wait for a body that never comes
            self.expect_continue = False
        if isinstance(body, ChunkedReceiver) and not self.completed:
            if len(body.control_line) > LONGEST_CHUNK_LINE:
                self._refuse("A line that begins a chunk is too long.")
            elif len(body.trailer) > LONGEST_TRAILER:
                self._refuse("The trailer is too long.")
        return consumed

    def parse_header(self, header_plus: bytes) -> None:
        """Read the first line and the headers. Raises ParsingError, which becomes 400 and the end of the connection."""
        lines = header_plus.split(b"\r\n")
        if any(line.startswith((b" ", b"\t")) for line in lines[1:]):
            raise ParsingError("A header is folded over several lines; send it as one.")
        named = [line.partition(b":") for line in lines[1:] if line]
        hosts = [value.strip(b" \t").decode("latin-1") for name, _, value in named if name.lower() == b"host"]
        lengths = {name.lower() for name, _, _ in named} & {b"content-length", b"transfer-encoding"}
        if len(lengths) == 2:
            raise ParsingError("Content-Length and Transfer-Encoding were both sent; send one of them.")
        for name, _, value in named:
            if name.lower() == b"content-length" and not _is_length(value.strip(b" \t")):
                raise ParsingError("Content-Length is no number of bytes.")
        codings = [value.strip(b" \t").lower() for name, _, value in named if name.lower() == b"transfer-encoding"]
        if len(codings) > 1 or any(coding.count(b"chunked") > 1 for coding in codings):
            raise ParsingError("Transfer-Encoding is not chunked, once; send it so, or Content-Length.")
        super().parse_header(header_plus)
        if self.version not in {"1.0", "1.1"}:
            raise ParsingError("This is not HTTP/1.1; send HTTP/1.1.")
        if self.version == "1.0" and "TRANSFER_ENCODING" in self.headers:
            raise ParsingError("HTTP/1.0 has no Transfer-Encoding; send Content-Length.")
        if len(hosts) > 1 or (self.version == "1.1" and not hosts):
            raise ParsingError(f"There are {len(hosts)} Host headers; send one.")
        if hosts and not _HOST.fullmatch(hosts[0]):
            raise ParsingError("The Host header is no host; send host or host:port.")
        if not self.request_uri.startswith("/") and self.request_uri != "*":
            self._check_absolute(hosts)

    def _check_absolute(self, hosts: list[str]) -> None:
        """`GET http://host/path` is fine where it names the host of the header; else one of the two would be lost."""
        try:
            asked = urlsplit(self.request_uri)
        except ValueError as error:
            raise ParsingError("The address in the first line is none; send a path.") from error
        if asked.scheme.lower() not in {"http", "https"} or [asked.netloc.lower()] != [host.lower() for host in hosts]:
            raise ParsingError("The address in the first line is of another host than the header Host; send a path.")

    def _refuse(self, why: str) -> None:
        self.error, self.completed = BadRequest(why), True


def _is_length(value: bytes) -> bool:
    return value.isdigit() and len(value) <= LONGEST_LENGTH
