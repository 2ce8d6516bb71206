"""Finds where a server's files lie, and its address.

data_dir/            ours, 0700 (0710 with the server account's group when we are root)
  lock  users        file locks: one starter or stopper at a time; everybody who uses the server
  location.json      only when something must lie elsewhere: {"home": ..., "sockets": ...}
home/                data_dir itself, or a private directory outside that the server's account can reach
  cluster/           PostgreSQL's data directory
  server.log
  s/                 the socket's directory, or a private one in /tmp when this path is too long for a socket
"""

import contextlib
import json
import os
import shutil
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from devtools.embedded_postgres.account import Account
from devtools.embedded_postgres.errors import EmbeddedPostgresError

USER = DATABASE = "breezebuddy"
PORT = 5432
SOCKET_NAME = f".s.PGSQL.{PORT}"
LONGEST_SOCKET_PATH = 103  # bytes; Linux takes 107, others 103
HOMES_OUTSIDE = (Path("/var/lib"), Path("/var/tmp"), Path("/tmp"))  # noqa: S108 - mkdtemp makes the names


@dataclass(frozen=True)
class Place:
    data_dir: Path
    home: Path
    sockets: Path

    @property
    def cluster(self) -> Path:
        return self.home / "cluster"

    @property
    def log(self) -> Path:
        return self.home / "server.log"

    @property
    def lock(self) -> Path:
        return self.data_dir / "lock"

    @property
    def users(self) -> Path:
        return self.data_dir / "users"

    @property
    def url(self) -> str:
        """The address, in a form that libpq and django-environ read alike; the host is the socket's directory."""
        return f"postgres://{USER}@/{DATABASE}?host={quote(str(self.sockets))}&port={PORT}"


def database_url(data_dir: Path) -> str:
    """Return the address of the server of `data_dir`, whether or not it runs. Changes nothing and never fails."""
    return find(data_dir).url


def find(data_dir: Path) -> Place:
    """Return the place of the last start, or the place that the first start would choose."""
    data_dir = Path(os.path.abspath(data_dir))
    try:
        location = json.loads(_location(data_dir).read_bytes())
        made_for = Path(location["data_dir"])
        if made_for == data_dir or not made_for.is_dir():  # moved along; a copy gets a server of its own
            return Place(data_dir, Path(location["home"]), Path(location["sockets"]))
    except (OSError, ValueError, KeyError, TypeError):
        pass  # the usual case: nothing lies elsewhere
    return Place(data_dir, data_dir, data_dir / "s")


def make_data_dir(data_dir: Path) -> None:
    """Create the private directory. Raises EmbeddedPostgresError if it cannot be used."""
    try:
        data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        if data_dir.stat().st_uid == os.geteuid():
            data_dir.chmod(data_dir.stat().st_mode & 0o710)
        with tempfile.TemporaryFile(dir=data_dir):
            pass
    except OSError as exc:
        raise EmbeddedPostgresError(
            f"{data_dir} is not writable ({exc.strerror}): "
            "fix that, or set DATA_DIR to another directory, or DATABASE_URL"
        ) from exc


def settle(place: Place, account: Account) -> Place:
    """Prepare home and socket directory for `account`, outside `data_dir` if necessary, and store where they are.

    Call it under the lock.
    """
    home = _home(place, account)
    settled = Place(place.data_dir, home, _sockets(home, place.sockets, account))
    location = _location(place.data_dir)
    if settled == Place(place.data_dir, place.data_dir, place.data_dir / "s"):
        location.unlink(missing_ok=True)
    else:
        content = {"data_dir": str(place.data_dir), "home": str(home), "sockets": str(settled.sockets)}
        fresh = location.with_suffix(".new")
        fresh.write_text(json.dumps(content) + "\n")
        fresh.replace(location)
    return settled


def _location(data_dir: Path) -> Path:
    return data_dir / "location.json"


def _home(place: Place, account: Account) -> Path:
    for home in (place.home, place.data_dir):
        if not home.is_dir():
            continue
        if not account.is_me and home.stat().st_uid == 0:
            os.chown(home, -1, account.gid)
            home.chmod(0o710)
        if account.can_enter(home):
            return home
    # A private checkout of root's. Opening its parents to the server would open them to everybody.
    for base in HOMES_OUTSIDE:
        with contextlib.suppress(OSError):
            home = Path(tempfile.mkdtemp(prefix="breezebuddy-postgres-", dir=base))
            os.chown(home, -1, account.gid)
            home.chmod(0o710)
            if account.can_enter(home):
                return home
            shutil.rmtree(home)
    raise EmbeddedPostgresError(
        f"{account.name}, who would run PostgreSQL for root, can reach neither {place.data_dir} nor "
        f"{', '.join(map(str, HOMES_OUTSIDE))}: start as an ordinary user, or set DATABASE_URL"
    )


def _sockets(home: Path, last: Path, account: Account) -> Path:
    beside = home / "s"
    if _fits_socket(beside):
        if not beside.is_dir():
            beside.mkdir(mode=0o700)
            account.own(beside)
        beside.chmod(0o700)
        return beside
    if last != beside and _is_private(last, account):
        return last
    # A random name in a new 0700 directory: nobody else can have put a server of theirs there.
    fresh = Path(tempfile.mkdtemp(prefix="breezebuddy-", dir="/tmp"))
    account.own(fresh)
    return fresh


def _fits_socket(directory: Path) -> bool:
    """Tell whether a socket can lie here: the path is short, and has no comma, which separates hosts in libpq."""
    return len(os.fsencode(directory / SOCKET_NAME)) <= LONGEST_SOCKET_PATH and "," not in str(directory)


def _is_private(directory: Path, account: Account) -> bool:
    try:
        status = directory.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(status.st_mode) and status.st_uid == account.uid and not status.st_mode & 0o077
