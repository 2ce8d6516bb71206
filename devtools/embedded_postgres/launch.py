"""Creates a cluster and starts a server on it, if none runs. The caller holds the place's locks."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from devtools.embedded_postgres import minder, place, postmaster
from devtools.embedded_postgres.account import Account, server_account
from devtools.embedded_postgres.answering import last_words, wait_until_up
from devtools.embedded_postgres.binaries import Binaries, find_binaries, reachable
from devtools.embedded_postgres.errors import EmbeddedPostgresError
from devtools.embedded_postgres.filelock import private
from devtools.embedded_postgres.place import Place

LONGEST_LOG = 10_000_000  # bytes

# Given on the command line, so that an old cluster gets today's values. Durability stays at its defaults: fsync on.
SERVER_SETTINGS = {
    "listen_addresses": "",
    "port": str(place.PORT),
    "unix_socket_permissions": "0700",
    "cluster_name": place.DATABASE,
    "timezone": "UTC",  # else Django sends SET TIME ZONE on each new connection
    "log_timezone": "UTC",
    "max_connections": "200",
    "shared_buffers": "64MB",
    # One forgotten transaction stops vacuum and makes the claim fifty times slower.
    "idle_in_transaction_session_timeout": "30s",
    # Few rows, updated all the time.
    "autovacuum_naptime": "5s",
    "autovacuum_vacuum_threshold": "1000",
    "autovacuum_vacuum_scale_factor": "0.02",
    "autovacuum_vacuum_cost_delay": "0",
}


def launch(where: Place, settings: Mapping[str, str]) -> "tuple[Place, subprocess.Popen[bytes]]":
    """Start the server; returns its place, settled, and its minder. `settings`: of PostgreSQL, which go before ours.
    Raises EmbeddedPostgresError, OSError."""
    account = server_account(where.cluster)
    binaries = find_binaries(where.cluster)
    where = place.settle(where, account)
    binaries = reachable(binaries, account, where.home)
    if not where.cluster.is_dir():
        _make_cluster(where, binaries, account)
    for name in (place.SOCKET_NAME, f"{place.SOCKET_NAME}.lock"):
        (where.sockets / name).unlink(missing_ok=True)  # its pid may be somebody else's by now
    if where.log.exists() and where.log.stat().st_size > LONGEST_LOG:
        where.log.unlink()
    with open(where.log, "ab", opener=private) as output:
        log_start = output.tell()
        process = subprocess.Popen(
            _command(where, binaries, account, settings),
            cwd="/",
            env=_environment(where.cluster),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,  # Ctrl-C is for the programs that use the database, not for the database
            umask=0o077,
        )
    if not wait_until_up(where, lambda: process.poll() is None):
        raise EmbeddedPostgresError(
            f"PostgreSQL did not start: {last_words(where.log, log_start)} (see {where.log}; or set DATABASE_URL)"
        )
    return where, process


def _command(where: Place, binaries: Binaries, account: Account, settings: Mapping[str, str]) -> list[str]:
    command = [sys.executable, "-I", "-S", minder.__file__, str(where.lock), str(where.users)]
    command += [str(account.uid), str(account.gid), str(binaries.postgres), "-D", str(where.cluster)]
    directories = '"' + str(where.sockets).replace('"', '""') + '"'  # a list setting: one quoted entry
    for name, value in {**SERVER_SETTINGS, **settings, "unix_socket_directories": directories}.items():
        command += ["-c", f"{name}={value}"]
    return command


def _environment(cluster: Path) -> dict[str, str]:
    """Return a minimal environment: PG* variables would change the server, and it needs no secrets."""
    environment = {"PATH": os.defpath, "LC_ALL": "C"}
    stale = postmaster.written_pid(cluster)
    if stale is not None:
        # A dead server's pid, which somebody else may have now. PostgreSQL takes that for a running server unless
        # it is told that it is its own grandparent; its other check (shared memory still in use) stays on.
        environment["PG_GRANDPARENT_PID"] = str(stale)
    return environment


def _make_cluster(where: Place, binaries: Binaries, account: Account) -> None:
    """Run initdb under another name, then rename, so that a cluster is never incomplete."""
    for unfinished in where.home.glob("unfinished-*"):
        shutil.rmtree(unfinished, ignore_errors=True)
    fresh = Path(tempfile.mkdtemp(prefix="unfinished-", dir=where.home))
    account.own(fresh)
    # Access is decided by the private socket directory: whoever gets there may be the superuser.
    command = [str(binaries.initdb), "-D", str(fresh), "-U", place.USER, "--auth=trust"]
    command += ["--encoding=UTF8", "--locale=C"]
    if binaries.major >= 17:
        command += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    result = subprocess.run(
        command,
        cwd="/",
        env=_environment(fresh),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        umask=0o077,
        **account.popen_options(),
    )
    if result.returncode:
        shutil.rmtree(fresh, ignore_errors=True)
        words = result.stderr.strip().splitlines() or ["no message"]
        raise EmbeddedPostgresError(f"initdb failed in {where.home}: {'; '.join(words[-2:])} (or set DATABASE_URL)")
    fresh.rename(where.cluster)
