"""Decides where webhooks may be sent: to public addresses over https, and to networks that an operator allows.

The caller who pushes a lead names a URL to which this service then connects, from inside its network. So the URL is
checked when the lead is pushed, and before each connection every address that its name resolves to is checked again.
"""

import ipaddress
import socket
from dataclasses import dataclass, field
from urllib.parse import SplitResult, urlsplit

from django.conf import settings

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

MAX_URL = 2000
LOCAL_NAMES = ("localhost", "localdomain", "local", "internal", "intranet", "lan", "home", "corp", "home.arpa")
# IPv6 networks that embed IPv4 addresses, and special networks that Python's ipaddress calls global.
TRANSLATED = ipaddress.IPv6Network("64:ff9b::/96")
NOT_PUBLIC = tuple(
    ipaddress.ip_network(text)
    for text in (
        *("192.0.0.0/24", "192.88.99.0/24"),
        *("64:ff9b:1::/48", "100:0:0:1::/64", "2001::/23", "2002::/16", "3fff::/20", "5f00::/16", "fec0::/10"),
    )
)


class Forbidden(Exception):
    """Webhooks may not be sent there. The text is shown to callers and names no internal address."""


@dataclass(frozen=True)
class Destinations:
    """The rule. `networks`: private networks that are allowed too, also over plain http."""

    networks: tuple[Network, ...] = field(default=())

    @classmethod
    def from_settings(cls) -> "Destinations":
        return cls(settings.REPORTING_WEBHOOK_NETWORKS)

    def problem_with(self, url: str) -> str:
        """Return why a URL is not allowed; empty if it is, as far as can be known without resolving its name."""
        try:
            self.split(url)
        except Forbidden as problem:
            return str(problem)
        return ""

    def split(self, url: str) -> SplitResult:
        """Split a URL into its parts and check it as far as possible without resolving its name. Raises Forbidden."""
        if len(url) > MAX_URL or not url.isprintable() or " " in url or "\\" in url:
            raise Forbidden(f"must be an address of at most {MAX_URL} characters, without spaces")
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port
        except ValueError:  # a bad port or an unclosed bracket
            raise Forbidden("must be a valid https:// address") from None
        if not host or port == 0:
            raise Forbidden("must be a valid https:// address")
        if parts.scheme != "https" and not (parts.scheme == "http" and self.networks):
            raise Forbidden("must begin with https://")
        if parts.username is not None or parts.password is not None:
            raise Forbidden("must not hold a user name or password")
        if (number := _as_address(host)) is not None:
            self.check(number, parts.scheme)
        elif not self.networks and _is_local_name(host):
            raise Forbidden("must not be a private or loopback address")
        return parts

    def resolve(self, parts: SplitResult) -> list[Address]:
        """Return every address of the host, all checked. Raises Forbidden, and OSError if it has none."""
        port = parts.port or (443 if parts.scheme == "https" else 80)
        try:
            found = socket.getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM)
        except UnicodeError:
            raise Forbidden("must have a valid host name") from None
        addresses = list(dict.fromkeys(ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found))
        for address in addresses:
            self.check(address, parts.scheme)
        return addresses

    def check(self, address: Address, scheme: str) -> None:
        """Check that an address may be connected to over this scheme. Raises Forbidden."""
        address = _unwrapped(address)
        if any(address in network for network in self.networks):
            return
        if not is_public(address):
            raise Forbidden("must not be a private or loopback address")
        if scheme != "https":
            raise Forbidden("must begin with https://")


def is_public(address: Address) -> bool:
    """Return whether an address is that of one host on the public internet."""
    if any(address in network for network in NOT_PUBLIC):
        return False
    special = address.is_private or address.is_loopback or address.is_link_local or address.is_unspecified
    return address.is_global and not (special or address.is_multicast or address.is_reserved)


def _unwrapped(address: Address) -> Address:
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address in TRANSLATED:
            return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def _as_address(host: str) -> Address | None:
    """Parse an IP address; also in the forms that only C libraries accept: 127.1, 0x7f000001, 2130706433."""
    host = host.rstrip(".")
    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        pass
    try:
        return ipaddress.IPv4Address(socket.inet_aton(host))
    except (OSError, UnicodeError):
        return None


def _is_local_name(host: str) -> bool:
    name = host.rstrip(".").lower()
    return "." not in name or any(name == local or name.endswith(f".{local}") for local in LOCAL_NAMES)
