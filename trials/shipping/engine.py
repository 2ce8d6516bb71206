"""Runs podman as root for these checks, with a private store that is removed at the end.

Images are built in a chroot, and limits are low: so it works in a virtual machine that may not give away more either.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ENOUGH = 4096
NEEDED = ("podman", "runc", "debootstrap")


class NoEngine(Exception):
    """Images cannot be built here. The message says what is missing."""


class EngineFailed(Exception):
    """A podman command failed. The message has the command and the end of its output."""


class Engine:
    def __init__(self, store: Path) -> None:
        self._podman = ["podman", "--root", str(store / "images"), "--runroot", str(store / "run")]
        self._podman += ["--storage-driver", "overlay", "--runtime", "runc", "--cgroup-manager", "cgroupfs"]

    def __call__(self, *arguments: str | Path, stdin: str | None = None) -> str:
        """Run a podman command and return its output. Raises EngineFailed."""
        done = self.tried(*arguments, stdin=stdin)
        if done.returncode:
            said = (done.stdout + done.stderr).strip()[-3000:]
            raise EngineFailed(f"podman {' '.join(map(str, arguments[:6]))}: exit {done.returncode}\n{said}")
        return done.stdout

    def tried(self, *arguments: str | Path, stdin: str | None = None) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(self.command(*arguments), input=stdin or "", capture_output=True, text=True)

    def command(self, *arguments: str | Path) -> list[str]:
        return [*self._podman, *map(str, arguments)]


@contextmanager
def engine(store: Path) -> Iterator[Engine]:
    """Yield an engine; remove its containers and images after the block. Raises NoEngine."""
    if os.geteuid() != 0:
        raise NoEngine("images are built and run as root")
    if missing := [program for program in NEEDED if not shutil.which(program)]:
        raise NoEngine(f"{', '.join(missing)} missing: apt install {' '.join(missing)}")
    found = Engine(store)
    try:
        yield found
    finally:
        for _ in range(2):  # those that another one's network depends on are refused at first
            found.tried("rm", "--all", "--force", "--time", "0")
        found.tried("rmi", "--all", "--force")


def limits() -> list[str]:
    """Return options with low limits: podman's defaults are higher than some machines allow."""
    return [f"--ulimit=nofile={ENOUGH}:{ENOUGH}", f"--ulimit=nproc={ENOUGH}:{ENOUGH}"]
