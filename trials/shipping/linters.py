"""Runs linters on the Dockerfile and the compose file."""

import subprocess
import sys
from pathlib import Path

BIN = Path(sys.executable).parent  # of the virtualenv that has them


def dockerfile_problems(file: Path) -> list[str]:
    return _said("hadolint", "--no-color", file)


def compose_problems(file: Path) -> list[str]:
    """Check the compose file against the schema of the Compose specification."""
    return _said("check-jsonschema", "--output-format", "text", "--builtin-schema", "vendor.compose-spec", file)


def _said(program: str, *arguments: str | Path) -> list[str]:
    done = subprocess.run(
        [BIN / program, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if done.returncode == 0:
        return []
    return [f"{program}: {line}" for line in done.stdout.splitlines() if line.strip()]
