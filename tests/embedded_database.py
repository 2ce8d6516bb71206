"""The database of a test run: with DATABASE_URL unset, an embedded PostgreSQL of its own.

A plugin (`-p` in pyproject.toml), because the address must be known before pytest-django loads the settings. Processes
that tests start find the database, and a secret key that all of them share, in their environment.
"""

import os
from collections.abc import Generator
from pathlib import Path

import pytest

from breezebuddy import embedded_postgres

SERVER = pytest.StashKey[embedded_postgres.Server]()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None]:
    if not os.environ.get("DATABASE_URL", "").strip():
        data_dir = Path(os.environ.get("DATA_DIR", "").strip() or early_config.rootpath / ".data")
        try:
            server = embedded_postgres.start(data_dir / "test-postgres")
        except embedded_postgres.EmbeddedPostgresError as exc:
            raise pytest.UsageError(str(exc)) from exc
        early_config.stash[SERVER] = server
        os.environ["DATABASE_URL"] = server.url
        os.environ.setdefault("SECRET_KEY", "for-tests-only")
    return (yield)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stops the server, unless another test run uses it too."""
    server = config.stash.get(SERVER, None)
    if server:
        server.stop()
