"""Dumps the whole database to a file and restores it, with the programs that come with the embedded PostgreSQL.

They are told where the database is by environment variables, so that no password is in an argument.
"""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from devtools.embedded_postgres.binaries import candidates

VARIABLES = {  # psycopg's name of a parameter: libpq's variable
    "host": "PGHOST",
    "port": "PGPORT",
    "user": "PGUSER",
    "password": "PGPASSWORD",
    "dbname": "PGDATABASE",
    "sslmode": "PGSSLMODE",
    "sslrootcert": "PGSSLROOTCERT",
    "sslcert": "PGSSLCERT",
    "sslkey": "PGSSLKEY",
    "connect_timeout": "PGCONNECT_TIMEOUT",
}
OWNERLESS = ("--no-owner", "--no-privileges")  # the other server has other roles


class DumpFailed(Exception):
    """pg_dump or pg_restore failed. The message is what the program wrote."""


def dump(parameters: Mapping[str, Any], file: Path) -> None:
    """Write a new, private file in pg_dump's own format. Raises DumpFailed, and then leaves no partial file."""
    os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    try:
        _run("pg_dump", parameters, "--format=custom", *OWNERLESS, f"--file={file}")
    except BaseException:
        file.unlink()
        raise


def restore(parameters: Mapping[str, Any], file: Path) -> None:
    """Restore a file into an empty database, in one transaction. Raises DumpFailed."""
    into = f"--dbname={parameters['dbname']}"
    _run("pg_restore", parameters, "--single-transaction", "--exit-on-error", *OWNERLESS, into, str(file))


def _run(program: str, parameters: Mapping[str, Any], *arguments: str) -> None:
    where = {VARIABLES[name]: str(value) for name, value in parameters.items() if name in VARIABLES}
    done = subprocess.run(
        [_found(program), *arguments],
        env={"PATH": os.environ.get("PATH", ""), "HOME": os.environ.get("HOME", ""), **where},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise DumpFailed(f"{program}: {done.stderr.strip()[-500:] or f'exit status {done.returncode}'}")


def _found(program: str) -> str:
    """Return the path of a program: beside the server's binaries, or else on the PATH."""
    beside = (directory / program for directory in candidates())
    return next((str(path) for path in beside if os.access(path, os.X_OK)), program)
