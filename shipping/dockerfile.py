"""A Dockerfile as a list of stages with their instructions."""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path

from dockerfile_parse import DockerfileParser


class DockerfileError(Exception):
    """The file says something that this reader does not know: better to stop than to pass over it."""


@dataclass(frozen=True)
class Instruction:
    keyword: str
    value: str
    line: int


@dataclass
class Stage:
    name: str
    parent: str
    instructions: list[Instruction] = field(default_factory=list)


@dataclass(frozen=True)
class Copy:
    """`source` is a stage's name, or None for the build context."""

    source: str | None
    paths: list[str]
    destination: str


def stages(path: Path) -> dict[str, Stage]:
    """By name, in their order. Raises DockerfileError."""
    found: dict[str, Stage] = {}
    current: Stage | None = None
    for entry in DockerfileParser(fileobj=path.open("rb")).structure:
        instruction = Instruction(entry["instruction"].upper(), entry["value"], entry["startline"] + 1)
        if instruction.keyword == "COMMENT":
            continue
        if instruction.keyword == "FROM":
            match = re.fullmatch(r"(\S+)\s+AS\s+(\S+)", instruction.value, re.IGNORECASE)
            if not match:
                raise DockerfileError(f"line {instruction.line}: every stage needs a name (FROM image AS name)")
            current = found[match[2]] = Stage(match[2], match[1])
        elif current is None:
            raise DockerfileError(f"line {instruction.line}: {instruction.keyword} before the first FROM")
        else:
            current.instructions.append(instruction)
    return found


def copy(value: str) -> Copy:
    words = value.split()
    source = None
    while words and words[0].startswith("--"):
        option, _, argument = words.pop(0).partition("=")
        if option != "--from":
            raise DockerfileError(f"COPY {value}: {option} is not read")
        source = argument
    if len(words) < 2:
        raise DockerfileError(f"COPY {value}: a source and a destination are needed")
    return Copy(source, words[:-1], words[-1])


def command(value: str) -> list[str]:
    """The list form of CMD and ENTRYPOINT; the shell form would put a shell between init and the service."""
    try:
        words = json.loads(value)
    except ValueError:
        raise DockerfileError(f"{value}: use the list form") from None
    return [str(word) for word in words]
