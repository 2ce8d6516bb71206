"""A release of this project in its own directory, and its programs, for the time before and after an upgrade.

An earlier one is taken from git. It runs with the packages of today's requirements.lock: what is tried is our code and
our schema, not theirs.
"""

import io
import json
import re
import signal
import subprocess
import sys
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from trials.world import DidNotHappen

LISTENING = re.compile(r"Listening at: http://127\.0\.0\.1:(\d+)")


class NoRelease(Exception):
    """The release is not available. The message says why."""


def exported(project: Path, revision: str, directory: Path) -> Path:
    """Export the files of a revision to a new directory. Raises NoRelease."""
    archive = ["git", "-C", str(project), "archive", "--format=tar", f"{revision}^{{commit}}"]
    try:
        done = subprocess.run(archive, capture_output=True, check=True, timeout=60)
    except FileNotFoundError:
        raise NoRelease("there is no git here: an earlier release is taken from its history") from None
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode(errors="replace").strip()
        raise NoRelease(f"git has no revision {revision} here (a shallow or unpacked checkout?): {said}") from None
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as files:
        files.extractall(directory, filter="data")
    return directory


@dataclass(eq=False)
class Running:
    """A running program of a release."""

    name: str
    process: "subprocess.Popen[bytes]"
    log: Path
    ready: bool = False  # of an API: whether requests are sent to it

    @property
    def port(self) -> int:
        """The port of gunicorn; 0 until it listens."""
        found = LISTENING.search(self.log.read_text(errors="replace"))
        return int(found[1]) if found else 0

    def stop(self) -> int:
        """Stop with SIGTERM and return the exit status. Waits without a limit."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait()

    def end(self) -> None:
        """Kill the program if it still runs."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


class Release:
    def __init__(self, name: str, files: Path, environment: Callable[[], Mapping[str, str]], logs: Path) -> None:
        self.name = name
        self._files = files
        self._environment = environment
        self._logs = logs
        self.running: list[Running] = []

    def manage(self, *arguments: str) -> str:
        """Run a management command and return its output."""
        command = [sys.executable, "manage.py", *arguments]
        done = subprocess.run(command, cwd=self._files, env=dict(self._environment()), capture_output=True, text=True)
        if done.returncode:
            raise DidNotHappen(f"{self.name}: manage.py {arguments[0]}: {(done.stderr or done.stdout)[-500:]}")
        return done.stdout

    def seeded(self) -> dict[str, str]:
        """Create a template, an admin and a token, and return the JSON of seeddemo."""
        told: dict[str, str] = json.loads(self.manage("seeddemo", "--force"))
        return told

    def serve(self) -> Running:
        api = {"PORT": "0", "WEB_CONCURRENCY": "1", "WEB_THREADS": "8", "ALLOWED_HOSTS": "*"}
        return self._start(f"api-{self.name}", api, "-m", "gunicorn", "--config", "gunicorn.conf.py")

    def start_pod(self, number: int) -> Running:
        name = f"pod-{self.name}-{number}"
        return self._start(name, {"POD_NAME": name, "VOICE_AGENT_VERSION": self.name}, "manage.py", "runpools")

    def _start(self, name: str, variables: Mapping[str, str], *arguments: str) -> Running:
        """From the main thread only: the kernel ends it with the thread that started it."""
        log = self._logs / f"{name}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "trials.tethered", sys.executable, *arguments],
                cwd=self._files,
                env={**self._environment(), **variables},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self.running.append(program := Running(name, process, log))
        return program

    def end(self) -> None:
        for program in self.running:
            program.end()
