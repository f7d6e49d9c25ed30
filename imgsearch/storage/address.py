"""Which internet addresses a picture may be fetched from: public unicast ones, and nothing dressed up as one.

The ranges are those of the IANA special-purpose registries (RFC 6890 and its updates), plus addresses that are public
by number and private by use: the metadata doors of clouds.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

Address = IPv4Address | IPv6Address

_V4: tuple[tuple[IPv4Network, str], ...] = tuple(
    (IPv4Network(network), reason)
    for network, reason in (
        ("0.0.0.0/8", "unspecified: it means this machine"),
        ("10.0.0.0/8", "private"),
        ("100.64.0.0/10", "carrier-grade NAT"),
        ("127.0.0.0/8", "loopback"),
        ("168.63.129.16/32", "a cloud's metadata door"),
        ("169.254.0.0/16", "link-local"),
        ("172.16.0.0/12", "private"),
        ("192.0.0.0/24", "reserved for protocols"),
        ("192.0.2.0/24", "a documentation network"),
        ("192.88.99.0/24", "6to4 relay"),
        ("192.168.0.0/16", "private"),
        ("198.18.0.0/15", "a benchmark network"),
        ("198.51.100.0/24", "a documentation network"),
        ("203.0.113.0/24", "a documentation network"),
        ("224.0.0.0/4", "multicast"),
        ("240.0.0.0/4", "reserved"),
    )
)
# More special ranges come before the wider ones that hold them.
_V6: tuple[tuple[IPv6Network, str], ...] = tuple(
    (IPv6Network(network), reason)
    for network, reason in (
        ("::/128", "unspecified: it means this machine"),
        ("::1/128", "loopback"),
        ("::/96", "v4-compatible"),
        ("::ffff:0:0:0/96", "v4-translated"),
        ("64:ff9b:1::/48", "local NAT64"),
        ("100::/64", "discard-only"),
        ("100:0:0:1::/64", "a dummy prefix"),
        ("2001::/32", "Teredo"),
        ("2001:2::/48", "a benchmark network"),
        ("2001:10::/28", "ORCHID"),
        ("2001:20::/28", "ORCHID"),
        ("2001::/23", "reserved for protocols"),
        ("2001:db8::/32", "a documentation network"),
        ("2002::/16", "6to4"),
        ("3fff::/20", "a documentation network"),
        ("5f00::/16", "segment routing"),
        ("fc00::/7", "unique local"),
        ("fe80::/10", "link-local"),
        ("fec0::/10", "site-local"),
        ("ff00::/8", "multicast"),
    )
)
_MAPPED = IPv6Network("::ffff:0:0/96")
_NAT64 = IPv6Network("64:ff9b::/96")
_GLOBAL_V6 = IPv6Network("2000::/3")
_ISATAP = {0x00005EFE, 0x02005EFE}  # RFC 5214: the third 32-bit word, before the embedded IPv4 address
_INTRANET: tuple[IPv4Network | IPv6Network, ...] = (
    *(IPv4Network(n) for n in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "127.0.0.0/8", "100.64.0.0/10")),
    *(IPv6Network(n) for n in ("::1/128", "fc00::/7")),
)
_METADATA = {IPv4Address("100.100.100.200"), IPv6Address("fd00:ec2::254"), IPv6Address("fd20:ce::254")}


def refuse_address(ip: str | Address) -> str | None:
    """Return why this address must not be connected to, or None where it is a public unicast one.

    An IPv4 address inside an IPv6 one is judged by itself where such addresses are in honest use (v4-mapped, and NAT64,
    by which networks without IPv4 reach it); Teredo, 6to4, ISATAP and v4-compatible are refused whatever they hold.
    """
    try:
        address = ip_address(ip)
    except ValueError:
        return "not an IP address"
    if isinstance(address, IPv4Address):
        return _refuse_v4(address)
    if address.scope_id:
        return "bound to one network interface"
    word = int(address)
    for network, kind in ((_MAPPED, "v4-mapped"), (_NAT64, "NAT64")):
        if address in network:
            reason = _refuse_v4(IPv4Address(word & 0xFFFFFFFF))
            return f"{kind}, holding an address that is {reason}" if reason else None
    return _refuse_v6(address, word)


def is_intranet(ip: str | Address) -> bool:
    """Return whether an operator may allow this address: private or loopback, plainly written, no metadata door."""
    try:
        address = ip_address(ip)
    except ValueError:
        return False
    return address not in _METADATA and any(address in network for network in _INTRANET)


def _refuse_v4(address: IPv4Address) -> str | None:
    for network, reason in _V4:
        if address in network:
            return reason
    return None if address.is_global else "not global"  # what a newer Python knows and this list does not


def _refuse_v6(address: IPv6Address, word: int) -> str | None:
    for network, reason in _V6:
        if address in network:
            return reason
    if (word >> 32) & 0xFFFFFFFF in _ISATAP:
        return "ISATAP"
    if address not in _GLOBAL_V6:
        return "reserved"
    return None if address.is_global else "not global"
