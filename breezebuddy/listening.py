"""Decides on which addresses gunicorn listens: IPv4 and IPv6, or the one of them that the host has."""

import errno
import socket

LOOPBACK, ALL = "loopback", "all"
THIS_HOST = ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"))
NO_SUCH_FAMILY = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)  # the kernel has no IPv6, or no address of that kind


def binds(where: str, port: int) -> list[str]:
    """Return gunicorn's `bind` for `where`: "all" addresses or "loopback". Raises ValueError for any other word."""
    if where not in (LOOPBACK, ALL):
        raise ValueError(f"LISTEN_ON={where}: must be {LOOPBACK} or {ALL}")
    if where == LOOPBACK:
        hosts = [host for family, host in THIS_HOST if _can_bind(family, host)]
    elif not _can_bind(socket.AF_INET6, "::"):
        hosts = ["0.0.0.0"]  # noqa: S104 (LISTEN_ON=all asks for it)
    else:
        hosts = ["0.0.0.0", "::"] if _only_ipv6() else ["::"]  # noqa: S104
    return [f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host in hosts]


def _can_bind(family: socket.AddressFamily, host: str) -> bool:
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.bind((host, 0))
    except OSError:
        return False
    return True


def _only_ipv6() -> bool:
    """Return whether, by this host's default, a socket on `::` accepts no IPv4."""
    with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
        return bool(probe.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY))
