"""Where a reporting webhook may go: never into our own network, unless WEBHOOK_ALLOW_PRIVATE.

Looked at twice: the text when an address is given (`problem_with`), and what its name means when something is sent
there (`public_addresses`), because a name can be made to point elsewhere in between. Who sends connects to one of the
addresses that come out here, and follows no redirects.
"""

import ipaddress
import socket
from urllib.parse import urlsplit

from django.conf import settings

LOCAL_NAMES = ("localhost", "local", "internal", "intranet", "lan", "home", "corp", "home.arpa")
EMBEDS_IPV4 = (ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("::/96"))  # NAT64, IPv4-compatible


class ForbiddenAddress(Exception):
    """The text says why; it names the host, not the whole address, which may hold a secret."""


def problem_with(url: str) -> str:
    """Why an address cannot be taken as a reporting webhook; empty if it can."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:  # a bad port or an unclosed bracket
        return "must be an https:// address"
    if not url.isprintable() or any(character.isspace() for character in url) or "\\" in url:
        return "must be an https:// address, without spaces and control characters"
    if parts.scheme not in (("https", "http") if settings.WEBHOOK_ALLOW_PRIVATE else ("https",)) or not host:
        return "must be an https:// address"
    if parts.username is not None or parts.password is not None:
        return "must not hold a user name or password"
    if port == 0:
        return "must have a port from 1 to 65535"
    if not settings.WEBHOOK_ALLOW_PRIVATE and is_private_host(host):
        return "must not be an address of a private network"
    return ""


def is_private_host(host: str) -> bool:
    """By its text alone: a private IP in any spelling, or a name that only means something inside a network."""
    name = host.rstrip(".").lower()
    address = _as_ip(name)
    if address is not None:
        return not _is_public(address)
    return "." not in name or any(name == local or name.endswith(f".{local}") for local in LOCAL_NAMES)


def public_addresses(host: str, port: int) -> list[str]:
    """What the host resolves to now. Raises ForbiddenAddress if any is private, OSError if it does not resolve."""
    found = sorted({str(info[4][0]) for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)})
    if not settings.WEBHOOK_ALLOW_PRIVATE:
        for one in found:
            if not _is_public(ipaddress.ip_address(one.partition("%")[0])):
                raise ForbiddenAddress(f"{host} is in a private network")
    return found


def _as_ip(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        pass
    try:
        return ipaddress.IPv4Address(socket.inet_aton(host))  # 127.1, 0x7f000001, 2130706433: as resolvers read them
    except OSError:
        return None


def _is_public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
        if inner is None and any(address in network for network in EMBEDS_IPV4):
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return _is_public(inner)
    return address.is_global and not address.is_multicast
