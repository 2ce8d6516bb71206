"""Reads settings from the environment, and refuses wrong values with a message that says what is allowed.

Each reader raises ImproperlyConfigured naming the variable, the value that it has and what it may be. django-environ
reads `.env` and takes DATABASE_URL apart. Its casts are not used, because they take wrong values without a word ("ture"
is off, "5 min" is 5.0) and name no variable when they refuse; and what begins with `$` would be the name of another
variable to it, so that a secret like that would be printed as one that is not set.
"""

import os
import re
from collections.abc import Collection
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import NoReturn
from urllib.parse import urlsplit

import environ
from django.core.exceptions import ImproperlyConfigured

from access.rate import Rate

env = environ.Env()

POSTGRES_SCHEMES = ("postgres", "postgresql", "pgsql", "psql")


def refuse(name: str, value: object, allowed: str) -> NoReturn:
    raise ImproperlyConfigured(f"{name}={value!s:.80} is not allowed: {allowed}")


def text(name: str, default: str) -> str:
    """Read a text. An empty value counts as unset."""
    return os.environ.get(name, "").strip() or default


def whole_number(name: str, default: int, *, minimum: int, maximum: int) -> int:
    value = text(name, str(default))
    allowed = f"a whole number from {minimum} to {maximum}"
    try:
        number = int(value)
    except ValueError:
        refuse(name, value, allowed)
    if not minimum <= number <= maximum:
        refuse(name, value, allowed)
    return number


def seconds(name: str, default: float, *, minimum: float, maximum: float) -> float:
    return number(name, default, minimum=minimum, maximum=maximum, what="a number of seconds")


def number(name: str, default: float, *, minimum: float, maximum: float, what: str = "a number") -> float:
    value = text(name, str(default))
    allowed = f"{what} from {minimum:g} to {maximum:g}"
    try:
        result = float(value)
    except ValueError:
        refuse(name, value, allowed)
    if not minimum <= result <= maximum:  # also refuses NaN
        refuse(name, value, allowed)
    return result


def switch(name: str, default: bool) -> bool:
    value = text(name, "on" if default else "off").lower()
    if value in ("1", "true", "yes", "on"):
        return True
    if value in ("0", "false", "no", "off"):
        return False
    refuse(name, value, "on or off (also true/false, yes/no, 1/0)")


def choice(name: str, default: str, allowed: Collection[str]) -> str:
    value = text(name, default)
    if value not in allowed:
        refuse(name, value, "one of " + ", ".join(filter(None, allowed)))
    return value


def rate(name: str, default: str) -> "Rate | None":
    """Read a rate such as 20/min; None for `off`."""
    value = text(name, default).lower()
    if value == "off":
        return None
    try:
        return Rate.parse(value)
    except ValueError:
        refuse(name, value, "such as 20/min: a number, then /s, /min, /h or /d; or off")


def pem(name: str) -> str:
    """Read a key in PEM form. `\\n` may stand for line ends, for variables that cannot have lines."""
    return text(name, "").replace("\\n", "\n")


def secret(name: str) -> str:
    """Read a signing key; empty: unset. Refuses one so weak that it could be guessed from what it has signed."""
    value = text(name, "")
    if value and (len(value.encode()) < 32 or len(set(value)) < 8):
        refuse(name, "(not shown)", "a random value of at least 32 bytes, such as `openssl rand -hex 32` prints")
    return value


def names(name: str, default: str) -> list[str]:
    """Read a comma-separated list."""
    return [part.strip() for part in text(name, default).split(",") if part.strip()]


def pool_sizes(size: str, cap: str, default: int) -> tuple[int, int]:
    """Read a pool's target and its cap, in this order. Refuses a target above the cap."""
    target = whole_number(size, default, minimum=0, maximum=10_000)
    ceiling = whole_number(cap, default, minimum=0, maximum=10_000)
    if target > ceiling:
        refuse(size, target, f"at most {cap}, which is {ceiling}; raise {cap} or lower {size}")
    return target, ceiling


def module_and_folder(module: str, folder: str, default: str, default_folder: Path) -> tuple[str, Path]:
    """Read a Python module and the folder in which it is searched first.

    The module may be given as the path of a file: below the folder or, if no folder is set, anywhere; then the folder
    is that of the file, as for `python FILE`.
    """
    name, place = text(module, default), text(folder, "")
    if not name.endswith(".py"):
        return name, Path(place or default_folder).absolute()
    if not place:
        file = Path(name).absolute()
        return file.stem, file.parent
    root = Path(place).absolute()
    file = Path(os.path.normpath(root / name))
    if not file.is_relative_to(root):
        refuse(module, name, f"a module, or a file below {folder}, which is {root}")
    return ".".join(file.relative_to(root).with_suffix("").parts), root


def database_url(name: str) -> str:
    """Read the URL of a PostgreSQL database; empty: unset. A wrong value is shown only if it can hold no password."""
    value = text(name, "")
    if not value:
        return ""
    try:
        parts = urlsplit(value)
        right = parts.scheme in POSTGRES_SCHEMES and parts.path.strip("/") and (parts.port is None or parts.port)
    except ValueError:  # the port, or brackets
        right = False
    if not right:
        shown = value if re.fullmatch(r"[\w./-]{1,40}", value) else "(not shown)"
        refuse(name, shown, "postgres://user:password@host:port/name (special characters percent-encoded)")
    return value


def address(name: str, default: str) -> str:
    """Read an IPv4 or IPv6 address, or nothing."""
    value = text(name, default)
    try:
        return str(ip_address(value)) if value else ""
    except ValueError:
        refuse(name, value, "an address such as 127.0.0.1 or ::1")


def networks(name: str, default: str) -> tuple[IPv4Network | IPv6Network, ...]:
    """Read a comma-separated list of networks, such as 10.20.0.0/16."""
    given = names(name, default)
    try:
        return tuple(ip_network(one) for one in given)
    except ValueError:
        refuse(name, ",".join(given), "networks such as 10.20.0.0/16, separated by commas")
