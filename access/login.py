"""Logs users in by password, for `POST /login` and the admin's form, with the same limits for both.

Hashing a password takes half a second of CPU. So LOGIN_RATE applies to each client address and to each account, and a
process computes one hash at a time while at most two more log-ins wait.
"""

import threading
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address, IPv6Network, ip_address

from django.conf import settings
from django.contrib.auth import authenticate
from django.contrib.auth.models import User
from django.http import HttpRequest
from rest_framework.exceptions import Throttled
from rest_framework.throttling import BaseThrottle

from access.throttles import seconds_to_wait

BUSY_S = 2
_PLACES = threading.BoundedSemaphore(3)  # the threads of a gunicorn worker that log-ins may hold
_HASHING = threading.Lock()


def count_address(request: HttpRequest) -> None:
    """Count an attempt from this client address, before anything else is done for it. Raises Throttled."""
    _count(f"address {_network(BaseThrottle().get_ident(request))}")  # type: ignore[arg-type]  # it reads only META


def log_in(request: HttpRequest, name: str, password: str) -> User | None:
    """Return the user with this name (or unique email) and password; None if there is no such user.

    An unknown name takes as long as a wrong password. Raises Throttled.
    """
    found = _named(name)
    username = found.get_username() if found else name
    with _turn():
        _count(f"account {canonical(username)}")
        user = authenticate(request, username=username, password=password)
    return user if isinstance(user, User) else None


def canonical(name: str) -> str:
    """Return one form for all spellings of a user name or an email that can mean the same account."""
    return unicodedata.normalize("NFKC", name).casefold()


def _named(name: str) -> User | None:
    if found := User.objects.filter(username=name).first():
        return found
    # PostgreSQL compares in upper case, in which other letters become equal than here: a dotless i and an i.
    by_email = [
        user
        for user in User.objects.filter(email__iexact=name).exclude(email="")[:10]
        if canonical(user.email) == canonical(name)
    ]
    return by_email[0] if len(by_email) == 1 else None


def _network(address: str) -> str:
    """Return an IPv4 address as it is, and of an IPv6 address its /64 network, in which a client can change freely."""
    try:
        ip = ip_address(address)
    except ValueError:
        return address
    if isinstance(ip, IPv4Address):
        return str(ip)
    return str(ip.ipv4_mapped or IPv6Network((int(ip), 64), strict=False))


def _count(whom: str) -> None:
    """Count a log-in. Raises Throttled if there have been too many, in which case nothing is counted."""
    if wait := seconds_to_wait("LOGIN_RATE", whom, settings.LOGIN_RATE):
        raise Throttled(wait)


@contextmanager
def _turn() -> Iterator[None]:
    """Wait for this process's turn to hash. Raises Throttled if two log-ins wait already."""
    if not _PLACES.acquire(blocking=False):
        raise Throttled(BUSY_S)
    try:
        with _HASHING:
            yield
    finally:
        _PLACES.release()
