"""Makes a virtualenv for a third-party program, with exactly the packages of that program's lock."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path


class NotInstalled(Exception):
    """The program could not be installed. The message says why."""


def installed(lock: Path, directory: Path, say: Callable[[str], None]) -> Path:
    """Return the directory of its programs. Recreates it when the lock has changed. Raises NotInstalled."""
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
