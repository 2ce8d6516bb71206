"""Reads from the Dockerfile what each image holds: paths of the project, and requirements."""

import re
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

STAGE = re.compile(r"^FROM (\S+) AS (\S+)$\n(.*?)(?=^FROM |\Z)", re.MULTILINE | re.DOTALL)
COPY = re.compile(r"^COPY (?:--from=(\S+) )?(.+) (\S+)$", re.MULTILINE)
REQUIREMENTS = re.compile(r"--requirements (\S+\.txt)")
WORKING_DIRECTORY = PurePosixPath("/app")
VIRTUALENV = PurePosixPath("/opt/venv")


@dataclass
class Stage:
    """`files` maps a path in the image to the path of the project that was copied there; `requirements` are those whose
    packages are in its virtualenv."""

    files: dict[PurePosixPath, str] = field(default_factory=dict)
    requirements: set[str] = field(default_factory=set)

    @property
    def paths(self) -> set[str]:
        return set(self.files.values())


def stages(dockerfile: str) -> dict[str, Stage]:
    """Return all stages by name. A stage begins with what its parent holds."""
    found: dict[str, Stage] = {}
    for parent, name, instructions in STAGE.findall(dockerfile.replace("\\\n", " ")):
        begin = found.get(parent, Stage())
        stage = found[name] = Stage(dict(begin.files), set(begin.requirements))
        stage.requirements.update(REQUIREMENTS.findall(instructions))
        for source, paths, destination in COPY.findall(instructions):
            if source:
                _copy_from(found[source], PurePosixPath(paths), stage)
            else:
                _copy_from_project(paths.split(), destination, stage)
    return found


def _copy_from(source: Stage, directory: PurePosixPath, stage: Stage) -> None:
    """Copy a whole directory to the same place, the only form that the Dockerfile uses between stages."""
    stage.files.update({place: path for place, path in source.files.items() if place.is_relative_to(directory)})
    if directory == VIRTUALENV:
        stage.requirements |= source.requirements


def _copy_from_project(paths: list[str], destination: str, stage: Stage) -> None:
    for path in paths:
        place = WORKING_DIRECTORY / destination
        stage.files[place / path if destination.endswith("/") else place] = path


def context(dockerignore: str) -> set[str]:
    """Return the paths of the build context: those that `.dockerignore` excepts from its `*`."""
    return {line[1:] for line in dockerignore.split() if line.startswith("!")}


def python_files(project: Path, paths: set[str]) -> list[Path]:
    """Return the modules among `paths` of the project."""
    found = [file for path in paths for file in [project / path, *(project / path).rglob("*.py")]]
    return sorted(file for file in found if file.suffix == ".py")
