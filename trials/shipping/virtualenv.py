"""A virtualenv for one program that is none of ours, with exactly what a lock of its own names."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path


class NotInstalled(Exception):
    """And why."""


def installed(lock: Path, directory: Path, say: Callable[[str], None]) -> Path:
    """The directory of its programs; made anew when the lock has changed. Raises NotInstalled."""
    stamp = directory / "installed.lock"
    if not stamp.exists() or stamp.read_bytes() != lock.read_bytes():
        say(f"installing {lock.name} into {directory} (a minute or two, once)")
        subprocess.run([sys.executable, "-m", "venv", "--clear", directory], check=True)
        pip: list[str | Path] = [directory / "bin" / "python", "-m", "pip", "--quiet", "--disable-pip-version-check"]
        done = subprocess.run(
            [*pip, "install", "--require-hashes", "--requirement", lock],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if done.returncode:
            raise NotInstalled(f"{lock.name} cannot be installed: {' '.join(done.stdout.split())[-500:]}")
        shutil.copyfile(lock, stamp)
    return directory / "bin"
