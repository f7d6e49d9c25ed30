"""No form of a forbidden address is ever connected to: not written out, not by DNS, not by a redirect."""

from __future__ import annotations

import errno
import socket
import sys
from collections.abc import Iterator

import pytest

from imgsearch.errors import FetchRefused, StoreError
from imgsearch.storage import read
from imgsearch.storage.address import is_intranet, refuse_address
from imgsearch.storage.policy import FetchPolicy, Resolver
from imgsearch.storage.store import open_store
from imgsearch.storage.web import fetch
from tests.faulty_http import Server, local, serving

PUBLIC = (
    "8.8.8.8",
    "1.1.1.1",
    "93.184.215.14",
    "2606:4700::1111",
    "2a00:1450:4001::1",
    "64:ff9b::808:808",
    "::ffff:8.8.8.8",
)
FORBIDDEN_V4 = (
    "0.0.0.0",  # noqa: S104
    "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.100.100.200", "100.127.255.254",
    "127.0.0.1", "127.0.0.2", "127.1.2.3", "127.255.255.254", "168.63.129.16", "169.254.0.1", "169.254.169.254",
    "169.254.170.2", "172.16.0.1", "172.31.255.254", "192.0.0.1", "192.0.0.192", "192.0.2.1", "192.88.99.1",
    "192.168.0.1", "192.168.255.254", "198.18.0.1", "198.19.255.254", "198.51.100.1", "203.0.113.1", "224.0.0.1",
    "239.255.255.250", "240.0.0.1", "255.255.255.255",
)  # fmt: skip
FORBIDDEN_V6 = (
    "::", "::1", "0:0:0:0:0:0:0:1", "::127.0.0.1", "::7f00:1", "::10.0.0.1", "::8.8.8.8",
    "::ffff:127.0.0.1", "::ffff:7f00:1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::ffff:192.168.0.1",
    "::ffff:0.0.0.0", "::ffff:100.64.0.1", "::ffff:0:127.0.0.1", "::ffff:0:8.8.8.8",
    "64:ff9b::127.0.0.1", "64:ff9b::10.0.0.1", "64:ff9b::169.254.169.254", "64:ff9b::6464:64c8",
    "64:ff9b:1::127.0.0.1", "64:ff9b:1::8.8.8.8", "64:ff9b:1:7f00:0:100::",
    "100::1", "100:0:0:1::1", "2001::1", "2001:0:7f00:1::", "2001:0:53aa:64c:0:fbff:f5ff:fffe", "2001:2::1",
    "2001:10::1", "2001:20::1", "2001:1::1", "2001:db8::1", "2002:7f00:1::1", "2002:a00:1::", "2002:808:808::1",
    "3fff::1", "5f00::1", "fc00::1", "fd00::1", "fd00:ec2::254", "fe80::1", "febf::1", "fec0::1", "feff::1",
    "ff02::1", "ff0e::1", "4000::1", "8000::1",
    "2606:4700::5efe:127.0.0.1", "2606:4700::200:5efe:10.0.0.1", "fe80::5efe:7f00:1",
)  # fmt: skip
# Hosts that some resolver or parser would take for one of the above. As DNS answers they are plain nonsense.
DISGUISED = (
    "localhost", "localhost.", "LOCALHOST", "a.localhost", "0", "1", "127.1", "127.0.1", "0177.0.0.1", "0177.1",
    "00000177.0.0.1", "0x7f.0.0.1", "0x7f.1", "0x7f000001", "0X7F000001", "2130706433", "017700000001", "127.0.0.1.",
    "127.0.0.0x1", "127.000.000.001", "169.254.43518", "2852039166", "0xa9fea9fe", "10.1", "[::1%25lo]",
    "[fe80::1%25eth0]", "[::1%lo]", "[v1.fe]", "[127.0.0.1]", "[::127.0.0.1.]", "127%2e0.0.1",
    "127.0.0.1%00.example.com", "①②⑦.⓪.⓪.①",
    "127。0。0。1", "１２７.0.0.1", "user@127.0.0.1", "user:pw@127.0.0.1", "8.8.8.8@127.0.0.1", "127.0.0.1\\@8.8.8.8",
    "127.0.0.1\r\nHost: x", "127.0.0.1\x00.example.com", "127.0.0.1\t", " 127.0.0.1",
    "example.com\n127.0.0.1", "-x.127.0.0.1", "127.0.0.1..", "999.1.1.1", "256.256.256.256",
)  # fmt: skip
FORMS = (*FORBIDDEN_V4, *FORBIDDEN_V6, *DISGUISED)
BODY = b"picture"


def literal(form: str, port: int) -> str:
    """Return a URL with this form of host."""
    host = f"[{form}]" if ":" in form and form in FORBIDDEN_V6 else form
    return f"http://{host}:{port}/x.png"


class Watch:
    """Every TCP connection that this process tries to open, told by the interpreter itself.

    Connections that would leave the machine fail at once: the tests need no network and touch none.
    """

    def __init__(self) -> None:
        self.on = False
        self.tried: list[tuple[str, int]] = []

    def __call__(self, event: str, args: tuple[object, ...]) -> None:
        if self.on and event == "socket.connect" and isinstance(args[1], tuple):
            host, port = str(args[1][0]), int(args[1][1])
            self.tried.append((host, port))
            if host not in {"127.0.0.1", "::1"}:
                raise OSError(errno.ENETUNREACH, "the test lets nothing out")


WATCH = Watch()


@pytest.fixture(scope="module")
def _hooked() -> None:
    sys.addaudithook(WATCH)  # cannot be taken out again, so it sleeps unless a test of this file runs


@pytest.fixture(autouse=True)
def watch(_hooked: None) -> Iterator[Watch]:
    WATCH.tried.clear()
    WATCH.on = True
    yield WATCH
    WATCH.on = False


@pytest.fixture(scope="module")
def canary() -> Iterator[list[Server]]:
    """Listeners on 127.0.0.1 and ::1, at one port, that nothing forbidden may reach."""
    with serving(lambda asked: asked.answer(200, body=b"secret")) as v4:
        if not socket.has_dualstack_ipv6():
            yield [v4, v4]
            return
        with serving(lambda asked: asked.answer(200, body=b"secret"), family=socket.AF_INET6, port=v4.port) as v6:
            yield [v4, v6]


def answering(*answers: list[str]) -> tuple[Resolver, list[str]]:
    """Return a resolver that gives these answers one after another (the last for ever), and whom it was asked for."""
    asked: list[str] = []

    def resolve(host: str, port: int) -> list[str]:
        asked.append(host)
        return answers[min(len(asked), len(answers)) - 1]

    return resolve, asked


def total(canary: list[Server]) -> int:
    return sum(server.accepted for server in canary)


def test_the_list_of_forms_is_long_enough() -> None:
    assert len(set(FORMS)) >= 80


@pytest.mark.parametrize("form", PUBLIC)
def test_public_addresses_are_fine(form: str) -> None:
    assert refuse_address(form) is None


@pytest.mark.parametrize("form", [*FORBIDDEN_V4, *FORBIDDEN_V6])
def test_special_addresses_are_refused_with_a_reason(form: str) -> None:
    assert refuse_address(form)


@pytest.mark.parametrize("form", FORMS)
def test_written_in_the_address(form: str, canary: list[Server], watch: Watch) -> None:
    before = total(canary)
    with pytest.raises(StoreError):  # nearly all FetchRefused; a few are names that nobody knows
        fetch(literal(form, canary[0].port), FetchPolicy(ports=frozenset({canary[0].port})))
    assert watch.tried == []
    assert total(canary) == before


@pytest.mark.parametrize("form", FORMS)
def test_as_the_answer_of_dns(form: str, canary: list[Server], watch: Watch) -> None:
    resolve, asked = answering([form])
    with pytest.raises(FetchRefused):
        fetch(f"http://evil.example:{canary[0].port}/", FetchPolicy(ports=frozenset({canary[0].port}), resolve=resolve))
    assert asked == ["evil.example."]
    assert watch.tried == []


@pytest.mark.parametrize("form", FORMS)
def test_as_the_second_answer_of_dns(form: str, canary: list[Server], watch: Watch) -> None:
    port = canary[0].port
    resolve, asked = answering(["93.184.215.14"], [form])
    with pytest.raises(StoreError):
        fetch(f"http://evil.example:{port}/", FetchPolicy(ports=frozenset({port}), resolve=resolve))
    assert len(asked) == 1, "a name is resolved once for a connection"
    assert watch.tried == [("93.184.215.14", port)]


@pytest.mark.parametrize(
    ("way", "form"),
    # An allowed host may move to another private address: that is what allowing it means.
    [
        (way, form)
        for way in ("literal", "name", "rebound")
        for form in FORMS
        if way != "rebound" or not is_intranet(form)
    ],
)
def test_behind_a_redirect(way: str, form: str, canary: list[Server], watch: Watch) -> None:
    """The literal in Location; a name that resolves to it; the very same name, which now resolves to it."""
    place = {"literal": literal(form, canary[0].port), "name": f"http://evil.example:{canary[0].port}/"}
    with serving(lambda asked: asked.answer(302, {"Location": place.get(way, "/again")})) as start:
        answers = [[form], ["127.0.0.1"]]

        def resolve(host: str, port: int) -> list[str]:
            return answers.pop() if host == "start.test" else [form]

        allowed = frozenset({f"start.test:{start.port}"})
        policy = FetchPolicy(allow_hosts=allowed, ports=frozenset({canary[0].port}), resolve=resolve, deadline=3.0)
        before = total(canary)
        with pytest.raises(StoreError if "\x00" in form else FetchRefused):  # such a header is no HTTP at all
            fetch(f"http://start.test:{start.port}/", policy)
        assert watch.tried == [("127.0.0.1", start.port)]
        assert total(canary) == before


@pytest.mark.parametrize("answer", [["8.8.8.8", "127.0.0.1"], ["127.0.0.1", "8.8.8.8"], ["2606:4700::1111", "fe80::1"]])
def test_one_bad_answer_spoils_the_good_ones(answer: list[str], watch: Watch) -> None:
    with pytest.raises(FetchRefused, match="must not be fetched"):
        fetch("http://mixed.example/", FetchPolicy(resolve=lambda *_: answer))
    assert watch.tried == []


def test_the_canary_sings(canary: list[Server]) -> None:
    """The control: an allowed host does reach it, so its silence above means something."""
    before = total(canary)
    policy = local(canary[0].port)
    assert fetch(f"http://pictures.test:{canary[0].port}/x", policy).data == b"secret"
    assert total(canary) == before + 1


def test_an_allowed_address_may_be_an_ipv6_one(canary: list[Server]) -> None:
    if canary[1].family != socket.AF_INET6:
        pytest.skip("this machine has no IPv6")
    place = f"[::1]:{canary[1].port}"
    assert fetch(f"http://{place}/", FetchPolicy(allow_hosts=frozenset({place}))).data == b"secret"
    assert canary[1].asked[-1].headers["host"] == place


def test_allowing_a_host_allows_neither_metadata_nor_other_ports() -> None:
    policy = FetchPolicy(allow_hosts=frozenset({"pictures.test"}), resolve=lambda *_: ["169.254.169.254"])
    with pytest.raises(FetchRefused, match="link-local"):
        fetch("http://pictures.test/", policy)
    with pytest.raises(FetchRefused, match="Port 6379"):
        fetch("http://pictures.test:6379/", policy)


def test_allow_private_allows_every_host(canary: list[Server]) -> None:
    policy = FetchPolicy(allow_private=True, ports=frozenset({canary[0].port}))
    assert fetch(f"http://127.0.0.1:{canary[0].port}/", policy).data == b"secret"


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd", "gopher://127.0.0.1:70/_x", "data:image/png;base64,AAAA", "ftp://example.com/x", "//x/y",
        "javascript:alert(1)", "", "x", "http://", "http:///x", "jar:http://x!/", "http://u@example.com/",
        "http://u:p@example.com/", "http://example.com/\r\nX: y", "http://example.com/a b", "http://example.com:99999/",
        "http://example.com:x/", "http://example.com:22/", "http://exa\x00mple.com/", "http://" + "a" * 5000 + ".com/",
        "http://a..b/", "dict://127.0.0.1:11211/stat", "ldap://127.0.0.1/", "unix:///var/run/docker.sock",
    ],
)  # fmt: skip
def test_other_schemes_and_shapes_are_refused(url: str, watch: Watch) -> None:
    with pytest.raises(FetchRefused):
        fetch(url, FetchPolicy(resolve=lambda *_: ["8.8.8.8"]))
    with pytest.raises(FetchRefused):
        read(url, open_store("memory://none"), FetchPolicy(resolve=lambda *_: ["8.8.8.8"]), 1000)
    assert watch.tried == []


@pytest.mark.parametrize("to", ["file:///etc/passwd", "gopher://x/", "data:,x", "", "http://[", "//u@pictures.test/"])
def test_redirects_to_other_schemes_are_refused(to: str) -> None:
    with serving(lambda asked: asked.answer(301, {"Location": to})) as server, pytest.raises(FetchRefused):
        fetch(f"http://pictures.test:{server.port}/", local(server.port))


def test_a_proxy_in_the_environment_makes_no_difference(canary: list[Server], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{canary[0].port}")
    before = total(canary)
    with serving(lambda asked: asked.answer(200, body=BODY)) as server:
        assert fetch(f"http://pictures.test:{server.port}/", local(server.port)).data == BODY
    assert total(canary) == before


def test_the_next_address_is_tried_when_the_first_is_down(watch: Watch) -> None:
    with serving(lambda asked: asked.answer(200, body=BODY)) as server:
        policy = local(server.port, resolve=lambda *_: ["10.1.2.3", "127.0.0.1"])
        assert fetch(f"http://pictures.test:{server.port}/", policy).data == BODY
    assert [host for host, _ in watch.tried] == ["10.1.2.3", "127.0.0.1"]
