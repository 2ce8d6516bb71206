"""Runs promtool on Prometheus' configuration, on our alerts, and on the tests of alerts (alerts.test.yml).

`promtool` from the PATH, or out of Debian's package `prometheus`, which is unpacked below .data and not installed: it
would start a server.
"""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

CHECKS = (
    ("check", "config", "--syntax-only", "prometheus.yml"),
    ("check", "config", "--syntax-only", "compose.yml"),
    ("check", "rules", "alerts.yml"),
    ("test", "rules", "alerts.test.yml"),
)


class NoPromtool(Exception):
    """promtool is not available here. The message says why."""


def problems(project: Path, say: Callable[[str], None]) -> list[str]:
    """Raises NoPromtool."""
    promtool = _found(project / ".data" / "promtool")
    found = []
    for arguments in CHECKS:
        done = subprocess.run(
            [promtool, *arguments],
            cwd=project / "deploy" / "prometheus",
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        said = " ".join(done.stdout.split())
        if done.returncode:
            found.append(f"promtool {' '.join(arguments)}: {said}")
        else:
            say(f"promtool {' '.join(arguments)}: {said}")
    return found


def _found(directory: Path) -> Path:
    if on_path := shutil.which("promtool"):
        return Path(on_path)
    program = directory / "usr" / "bin" / "promtool"
    if not program.exists():
        directory.mkdir(parents=True, exist_ok=True)
        _run("apt-get", "download", "--quiet", "prometheus", directory=directory)
        (package,) = directory.glob("prometheus_*.deb")
        _run("dpkg-deb", "--extract", package.name, ".", directory=directory)
        package.unlink()
    return program


def _run(*arguments: str, directory: Path) -> None:
    try:
        subprocess.run(arguments, cwd=directory, check=True, capture_output=True, text=True)
    except FileNotFoundError:
        raise NoPromtool("promtool is missing, and this is no Debian to take it from; install Prometheus") from None
    except subprocess.CalledProcessError as error:
        said = " ".join(error.stderr.split())[-300:]
        raise NoPromtool(
            f"promtool is missing, and {arguments[0]} cannot get it (apt-get update first?): {said}"
        ) from None
