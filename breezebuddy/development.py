"""Defaults of settings on a developer's machine, where the package `devtools` exists. Images do not contain it."""

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from breezebuddy.configuration import refuse

HERE = find_spec("devtools") is not None


def apps() -> list[str]:
    return ["devtools"] if HERE else []


def database_url(data_dir: Path) -> str:
    """Return the address of the embedded PostgreSQL. Raises ImproperlyConfigured where there is none."""
    if not HERE:
        refuse("DATABASE_URL", "(unset)", "postgres://user:password@host:port/name")
    return import_module("devtools.embedded_postgres").database_url(data_dir / "postgres")


def secret_key(data_dir: Path) -> str:
    """Return the secret key that `make run` keeps, or a new one. Raises ImproperlyConfigured without `devtools`."""
    if not HERE:
        refuse("SECRET_KEY", "(unset)", "a long random value, the same in every process")
    keys = import_module("devtools.dev_secret_key")
    return keys.read(data_dir) or keys.made()
