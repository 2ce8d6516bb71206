"""Makes the base image of the Dockerfile: Debian's base system of the same release, by debootstrap.

It differs from the pinned one by Debian's updates since, and by how package managers reach their registries from this
machine (apt's sources, pip's configuration, certificates), which a builder has to know as well.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path

from trials.shipping.engine import Engine, EngineFailed

SUITES = {"debian:12": "bookworm", "debian:13": "trixie"}
BASE = re.compile(r"^FROM\s+(debian:\S+)", re.MULTILINE)
REGISTRY_VARIABLES = re.compile(r"PIP_|UV_INDEX|UV_DEFAULT_INDEX|SSL_CERT_FILE|REQUESTS_CA")
REGISTRY_FILES = (
    "/etc/pip.conf",
    "/etc/xdg/pip",
    "/etc/uv",
    "/etc/apt",
    "/usr/local/share/ca-certificates",
)


def make(engine: Engine, dockerfile: Path, work: Path) -> str:
    """Make the image and return its name, which is the one in the Dockerfile. Raises EngineFailed."""
    name = next(iter(BASE.findall(dockerfile.read_text())), "")
    suite = next((suite for release, suite in SUITES.items() if name.startswith(release)), None)
    if suite is None:
        raise EngineFailed(f"{name or 'its first image'}: only Debian's can be made here")
    root, archive = work / "root", work / "root.tar"
    _run("debootstrap", "--variant=minbase", suite, str(root), *_mirror())
    for file in REGISTRY_FILES:
        _take_over(Path(file), root)
    _run("tar", "--directory", str(root), "--one-file-system", "--create", "--file", str(archive), ".")
    variables = [f"ENV {name}={value}" for name, value in os.environ.items() if REGISTRY_VARIABLES.match(name)]
    engine("import", *(f"--change={variable}" for variable in variables), archive, f"docker.io/library/{name}")
    shutil.rmtree(root)
    archive.unlink()
    return name


def _mirror() -> list[str]:
    """Return the mirror that apt uses here, if it can be read."""
    listed = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(SITE)"],  # noqa: S607
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    ).stdout.split()
    return [site for site in listed if "security" not in site][:1]


def _take_over(path: Path, root: Path) -> None:
    target = root / str(path).lstrip("/")
    if path.is_dir():
        shutil.copytree(path, target, symlinks=True, dirs_exist_ok=True)
    elif path.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)


def _run(*arguments: str) -> None:
    done = subprocess.run(arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        raise EngineFailed(f"{arguments[0]} failed: {' '.join(done.stdout.split())[-400:]}")
