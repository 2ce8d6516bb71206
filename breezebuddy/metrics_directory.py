"""Where gunicorn's workers count: files of a directory that lives as long as the master.

A new master has a directory of its own, also one that takes over from another (USR2); what killed ones have left is
removed. Standard library only: gunicorn's configuration imports it before anything else may be.
"""

import os
import re
import shutil
import tempfile
from pathlib import Path

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
NAME = re.compile(r"breezebuddy-metrics-(\d+)-\w+")


def prepare() -> None:
    """For the master that calls it, and its workers. Called again (on HUP) it changes nothing."""
    if _master_of(Path(os.environ.get(VARIABLE, ""))) == os.getpid():
        return
    parent = Path("/dev/shm" if os.path.isdir("/dev/shm") else tempfile.gettempdir())  # noqa: S108 (a private one in it)
    for left in parent.glob("breezebuddy-metrics-*"):
        master = _master_of(left)
        if master and not os.path.exists(f"/proc/{master}"):
            shutil.rmtree(left, ignore_errors=True)  # another user's stays
    os.environ[VARIABLE] = tempfile.mkdtemp(prefix=f"breezebuddy-metrics-{os.getpid()}-", dir=parent)


def remove() -> None:
    """At the end of the master."""
    directory = Path(os.environ.get(VARIABLE, ""))
    if _master_of(directory) == os.getpid():
        shutil.rmtree(directory, ignore_errors=True)


def _master_of(directory: Path) -> int | None:
    found = NAME.fullmatch(directory.name)
    return int(found[1]) if found else None
