"""Turns our services in compose.yaml into arguments of `podman run`.

All containers share one network without a way out, in which each service's name is 127.0.0.1.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from trials.shipping.engine import limits

VARIABLE = re.compile(r"\$\{(\w+):([-?])([^}]*)\}")  # with a default, or with a word on what is to be set
READ = {"image", "build", "command", "entrypoint", "environment", "depends_on", "stop_grace_period", "restart"}
READ |= {"read_only", "cap_drop", "security_opt", "tmpfs", "healthcheck", "ports", "profiles"}


class NotRead(Exception):
    """The file has a key that this reader does not know. It stops rather than ignore the key."""


class Compose:
    def __init__(self, file: Path, variables: Mapping[str, str]) -> None:
        self._services: dict[str, Any] = yaml.safe_load(file.read_text())["services"]
        self._variables = variables

    def run(self, service: str, *arguments: str) -> list[str]:
        """Return options, image and command; `arguments` replace the command of the file."""
        said = self._services[service]
        if unknown := set(said) - READ:
            raise NotRead(f"compose.yaml: {', '.join(sorted(unknown))} of {service} is not read")
        options = [f"--env={name}={self._filled(str(value))}" for name, value in said.get("environment", {}).items()]
        options += [f"--tmpfs={_for_podman(place)}" for place in said.get("tmpfs", [])]
        options += [f"--cap-drop={right}" for right in said.get("cap_drop", [])]
        options += [f"--security-opt={option.split(':')[0]}" for option in said.get("security_opt", [])]
        if said.get("read_only"):
            options += ["--read-only", "--read-only-tmpfs=false"]
        entrypoint = [self._filled(word) for word in said.get("entrypoint", [])]
        if entrypoint:
            options.append(f"--entrypoint={entrypoint[0]}")
        command = list(arguments) or [self._filled(word) for word in said.get("command", [])]
        # No timer of systemd's asks for the health: `podman healthcheck run` does.
        return [*limits(), "--health-interval=disable", *options, said["image"], *entrypoint[1:], *command]

    def grace(self, service: str) -> str:
        """Return the grace period in seconds, for `podman stop --time`."""
        return str(self._services[service].get("stop_grace_period", "10s")).removesuffix("s")

    def _filled(self, text: str) -> str:
        return VARIABLE.sub(self._value, text)

    def _value(self, match: "re.Match[str]") -> str:
        name, kind, rest = match.groups()
        if name not in self._variables and kind == "?":
            raise NotRead(f"compose.yaml: {name} must be set: {rest}")
        return self._variables.get(name, rest)


def _for_podman(tmpfs: str) -> str:
    """Return the tmpfs option for podman, which writes U for the container's own user."""
    place, _, options = tmpfs.partition(":")
    kept = [option for option in options.split(",") if option.split("=")[0] not in ("uid", "gid")]
    return f"{place}:{','.join(kept + ['U'] * ('uid=' in options))}"
