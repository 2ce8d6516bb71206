"""Makes and removes the directory in which gunicorn's workers keep their metrics; it lives as long as the master.

Each master has a directory of its own, also one that takes over from another (USR2). What killed masters have left is
removed. Only the standard library is used: gunicorn's configuration imports this before anything else may be imported.
"""

import os
import re
import shutil
import tempfile
from pathlib import Path

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
NAME = re.compile(r"breezebuddy-metrics-(\d+)-\w+")


def prepare() -> None:
    """Make the directory for the calling master and its workers. A second call (on HUP) changes nothing."""
    if _master_of(Path(os.environ.get(VARIABLE, ""))) == os.getpid():
        return
    parent = Path("/dev/shm" if os.path.isdir("/dev/shm") else tempfile.gettempdir())  # noqa: S108 (a private one in it)
    for left in parent.glob("breezebuddy-metrics-*"):
        master = _master_of(left)
        if master and not os.path.exists(f"/proc/{master}"):
            shutil.rmtree(left, ignore_errors=True)  # another user's stays
    os.environ[VARIABLE] = tempfile.mkdtemp(prefix=f"breezebuddy-metrics-{os.getpid()}-", dir=parent)


def remove() -> None:
    """Remove the directory, at the end of the master."""
    directory = Path(os.environ.get(VARIABLE, ""))
    if _master_of(directory) == os.getpid():
        shutil.rmtree(directory, ignore_errors=True)


def _master_of(directory: Path) -> int | None:
    found = NAME.fullmatch(directory.name)
    return int(found[1]) if found else None
