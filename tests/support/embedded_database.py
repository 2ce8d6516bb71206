"""The database of a test run: with DATABASE_URL unset, an embedded PostgreSQL of its own.

A plugin (`-p` in pyproject.toml), because the address must be known before pytest-django loads the settings. Processes
that tests start find the database, and a secret key that all of them share, in their environment. Migrations run once,
in a database that every worker's is a copy of.
"""

import hashlib
import os
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from psycopg import sql

from devtools import embedded_postgres

SERVER = pytest.StashKey[embedded_postgres.Server]()
TEMPLATE = "BREEZEBUDDY_TEST_TEMPLATE"  # in the environment of the workers: the name of the migrated database
NOT_DURABLE = ("fsync", "synchronous_commit", "full_page_writes")  # nothing here has to survive a power cut


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
        os.environ.setdefault("SECRET_KEY", "for-tests-only-0123456789abcdef-and-so-much-longer")
        os.environ[TEMPLATE] = _migrated_database(server.url, early_config.rootpath)
    return (yield)


def _migrated_database(url: str, project: Path) -> str:
    """The database with the migrations as they are now, made if there is none; its name."""
    files = [*sorted(project.glob("*/migrations/*.py")), project / "requirements.lock"]
    state = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
    name = f"migrated_{state[:16]}"
    with psycopg.connect(url, autocommit=True) as connection:
        for setting in NOT_DURABLE:
            connection.execute(sql.SQL("ALTER SYSTEM SET {} = off").format(sql.Identifier(setting)))
        connection.execute("SELECT pg_reload_conf()")
        connection.execute("SELECT pg_advisory_lock(hashtext(%s))", [name])  # two runs at once, in one checkout
        others = connection.execute("SELECT datname FROM pg_database WHERE datname LIKE 'migrated\\_%'").fetchall()
        if (name,) in others:
            return name
        for (other,) in others:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(other)))
        draft = sql.Identifier("draft_of_migrated")
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(draft))
        connection.execute(sql.SQL("CREATE DATABASE {}").format(draft))
        command = [sys.executable, "manage.py", "migrate", "--verbosity=0"]
        address = urlunsplit(urlsplit(url)._replace(path="/draft_of_migrated"))
        subprocess.run(command, cwd=project, env=os.environ | {"DATABASE_URL": address}, check=True)
        connection.execute(sql.SQL("ALTER DATABASE {} RENAME TO {}").format(draft, sql.Identifier(name)))
    return name


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stops the server, unless another test run uses it too."""
    server = config.stash.get(SERVER, None)
    if server:
        server.stop()
