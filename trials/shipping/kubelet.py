"""Does what a kubelet does with one replica of a Deployment, with the real processes of its manifest.

    start:  the container's command with its environment; startup, readiness and liveness probes at their periods
    stop:   preStop, then SIGTERM to the main process, then SIGKILL when terminationGracePeriodSeconds are over

Kubernetes gives each replica an address of its own; here each has a port of its own in place of the container's.
"""

import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from trials.shipping.manifests import Manifest

ROOT = Path(__file__).resolve().parent.parent.parent


@dataclass(frozen=True)
class Workload:
    """A Deployment's pod template, with the environment of its ConfigMap and Secret."""

    name: str
    spec: Manifest
    environment: Mapping[str, str]

    @property
    def container(self) -> Manifest:
        (container,) = self.spec["template"]["spec"]["containers"]
        return dict(container)

    @property
    def grace(self) -> float:
        return float(self.spec["template"]["spec"]["terminationGracePeriodSeconds"])

    @property
    def min_ready(self) -> float:
        return float(self.spec.get("minReadySeconds", 0))


class Replica:
    """One running container. `ready`: the readiness probe's result; `dead_by_probe`: why the liveness probe failed."""

    def __init__(self, workload: Workload, name: str, port: int, directory: Path) -> None:
        self.name = name
        self.port = port
        self.ready = False
        self.dead_by_probe: str | None = None
        self.killed = False
        self._workload = workload
        container = workload.container
        (declared,) = container["ports"]
        self._declared_port = str(declared["containerPort"])
        self.log = directory / f"{name}.log"
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                self._command(container["args"]),
                cwd=ROOT,
                env=self._environment(container),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self._stopping = threading.Event()
        threading.Thread(target=self._probe, args=(container,), daemon=True).start()

    @property
    def runs(self) -> bool:
        return self.process.poll() is None

    def stop(self) -> None:
        """Stop the replica as a kubelet does, and wait until its process is gone."""
        began = time.monotonic()
        self._stopping.set()
        self.ready = False
        hook = self._workload.container.get("lifecycle", {}).get("preStop", {}).get("exec", {}).get("command")
        if hook:
            subprocess.run(hook, check=True, timeout=self._workload.grace)
        self.process.terminate()
        try:
            self.process.wait(max(0.1, self._workload.grace - (time.monotonic() - began)))
        except subprocess.TimeoutExpired:
            self.killed = True
            self.process.kill()
            self.process.wait()

    def _command(self, args: list[str]) -> list[str]:
        """Return the container's command, with this checkout's Python and this replica's port."""
        program, *rest = [argument.replace(self._declared_port, str(self.port)) for argument in args]
        python = [sys.executable] if program == "python" else [sys.executable, "-m", program]
        return python + rest

    def _environment(self, container: Manifest) -> dict[str, str]:
        environment = dict(self._workload.environment)
        for variable in container.get("env", []):
            if "value" in variable:
                ours = variable["value"] == self._declared_port
                environment[variable["name"]] = str(self.port) if ours else variable["value"]
            elif variable["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.name":
                environment[variable["name"]] = self.name
        return environment

    # --- probes -------------------------------------------------------------------------------------------

    def _probe(self, container: Manifest) -> None:
        if not self._passes_startup(container["startupProbe"]):
            return
        probes = {"ready": container["readinessProbe"], "alive": container["livenessProbe"]}
        due, failures = dict.fromkeys(probes, 0.0), dict.fromkeys(probes, 0)
        while not self._stopping.wait(0.05) and self.runs:
            for kind, probe in probes.items():
                if time.monotonic() < due[kind]:
                    continue
                due[kind] = time.monotonic() + probe["periodSeconds"]
                answered = self._answers(probe)
                failures[kind] = 0 if answered else failures[kind] + 1
                if kind == "ready" and not self._stopping.is_set():
                    self.ready = answered or (self.ready and failures[kind] < probe["failureThreshold"])
                elif kind == "alive" and failures[kind] >= probe["failureThreshold"]:
                    self.dead_by_probe = f"{self.name} did not answer {probe['httpGet']['path']}"

    def _passes_startup(self, probe: dict[str, Any]) -> bool:
        for _ in range(probe["failureThreshold"]):
            if self._answers(probe):
                return True
            if self._stopping.wait(probe["periodSeconds"]) or not self.runs:
                return False
        self.dead_by_probe = f"{self.name} did not start"
        return False

    def _answers(self, probe: dict[str, Any]) -> bool:
        """Ask a probe as kubelets do, by address: the service does not know the name in the Host header."""
        address = f"http://127.0.0.1:{self.port}{probe['httpGet']['path']}"
        try:
            answer = requests.get(
                address, timeout=probe.get("timeoutSeconds", 1), headers={"Host": f"10.0.0.7:{self._declared_port}"}
            )
        except requests.RequestException:
            return False
        return 200 <= answer.status_code < 400
