"""The images without a container engine: every instruction of the Dockerfile executed in clean Debian roots.

    FROM    a debootstrapped Debian, or a copy of the stage that it names
    RUN     in a chroot, with the stage's ENV, WORKDIR and USER
    COPY    from the build context as .dockerignore leaves it, or from another stage

What differs from a real build: the base image is Debian's own of today instead of the pinned one, and layers,
registries and the engine's isolation are not exercised.
"""

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from shipping import clean_root, dockerfile
from shipping.dockerfile import DockerfileError, Instruction, Stage

FOR_THE_ENGINE = {"EXPOSE", "STOPSIGNAL", "HEALTHCHECK", "LABEL"}


class StepFailed(Exception):
    """A RUN did not succeed; the text has its output's end."""


@dataclass
class Built:
    """A stage after its instructions: a root file system and how it is run."""

    root: Path
    env: dict[str, str] = field(default_factory=dict)
    directory: str = "/"
    user: str = "0:0"
    entrypoint: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)


class Builder:
    """Builds stages below `work`, each once."""

    def __init__(self, project: Path, work: Path, say: Callable[[str], None]) -> None:
        self._project = project
        self._work = work
        self._stages = dockerfile.stages(project / "Dockerfile")
        self._built: dict[str, Built] = {}
        self._say = say

    def build(self, name: str) -> Built:
        """Raises NoCleanRoot, DockerfileError, StepFailed."""
        if name not in self._built:
            stage = self._stages[name]
            built = self._begin(stage)
            with clean_root.mounted(built.root):
                for instruction in stage.instructions:
                    self._execute(stage, built, instruction)
            self._built[name] = built
        return self._built[name]

    def _begin(self, stage: Stage) -> Built:
        root = self._work / stage.name
        if stage.parent not in self._stages:
            self._say(f"{stage.name}: debootstrap of {stage.parent}")
            clean_root.make(stage.parent, root, self._work.parent / "debootstrap-cache")
            return Built(root, {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"})
        parent = self.build(stage.parent)
        root.mkdir(parents=True)
        clean_root.copied(parent.root, root)
        return Built(root, dict(parent.env), parent.directory, parent.user)

    def _execute(self, stage: Stage, built: Built, instruction: Instruction) -> None:
        value = instruction.value
        match instruction.keyword:
            case "RUN":
                self._run(stage, built, instruction)
            case "COPY":
                self._copy(built, value)
            case "ENV":
                built.env |= dockerfile.environment(value, built.env)
            case "WORKDIR":
                built.directory = value
                (built.root / value.lstrip("/")).mkdir(parents=True, exist_ok=True)
            case "USER":
                built.user = value
            case "ENTRYPOINT":
                built.entrypoint = dockerfile.command(value)
            case "CMD":
                built.command = dockerfile.command(value)
            case keyword if keyword not in FOR_THE_ENGINE:
                raise DockerfileError(f"line {instruction.line}: {keyword} is not read")

    def _run(self, stage: Stage, built: Built, instruction: Instruction) -> None:
        began = time.monotonic()
        done = clean_root.run(
            built.root, ["/bin/sh", "-c", instruction.value], env=built.env, directory=built.directory, user=built.user
        )
        if done.returncode:
            raise StepFailed(f"line {instruction.line} ({stage.name}): exit {done.returncode}\n{done.stdout[-3000:]}")
        self._say(f"{stage.name}: line {instruction.line} RUN ok ({time.monotonic() - began:.0f} s)")

    def _copy(self, built: Built, value: str) -> None:
        wanted = dockerfile.copy(value)
        source = self.build(wanted.source).root if wanted.source else self._project
        # Absolute or not, it is a place below the root: joined as it is, it would be one of this machine's own.
        inside = Path(built.directory, wanted.destination)
        destination = built.root / inside.relative_to("/")
        for path in wanted.paths:
            original = source / path.lstrip("/")
            if wanted.source is None and not is_in_context(self._project, path):
                raise DockerfileError(f"COPY {value}: .dockerignore keeps {path} out of the build context")
            if original.is_dir():
                ignore = None if wanted.source else shutil.ignore_patterns("__pycache__")  # as .dockerignore does
                shutil.copytree(original, destination, symlinks=True, dirs_exist_ok=True, ignore=ignore)
            else:
                into = wanted.destination.endswith("/") or len(wanted.paths) > 1
                target = destination / original.name if into else destination
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(original, target)


def is_in_context(project: Path, path: str) -> bool:
    """.dockerignore ignores everything but what it names with an exclamation mark."""
    lines = (project / ".dockerignore").read_text().split()
    return f"!{path.rstrip('/')}" in lines
