"""A clean Debian as a directory, in which commands are run as in a container: `debootstrap`, `chroot`, root's rights.

The directory's /proc is the host's and its network too; nothing else of the host is seen but how its package managers
reach their registries (apt's sources, pip's and uv's configuration), which a builder has to have as well.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

SUITES = {"debian:12": "bookworm", "debian:13": "trixie"}
REGISTRY_VARIABLES = ("PIP_", "UV_INDEX", "UV_DEFAULT_INDEX", "SSL_CERT", "REQUESTS_CA")
PROXIES = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY")
REGISTRY_FILES = (
    "/etc/resolv.conf",
    "/etc/hosts",
    "/etc/pip.conf",
    "/etc/xdg/pip",
    "/etc/uv",
    "/etc/apt",
    "/usr/local/share/ca-certificates",
)


class NoCleanRoot(Exception):
    """It cannot be made here; the text says what is missing."""


def make(image: str, root: Path, cache: Path) -> None:
    """Debian's base system of an image's release, without recommended packages (`debootstrap --variant=minbase`)."""
    suite = next((suite for release, suite in SUITES.items() if image.startswith(release)), None)
    if suite is None:
        raise NoCleanRoot(f"{image}: only Debian's images can be made here")
    if os.geteuid() != 0:
        raise NoCleanRoot("a clean root needs root's rights (chroot)")
    if not shutil.which("debootstrap"):
        raise NoCleanRoot("debootstrap is missing: apt install debootstrap")
    cache.mkdir(parents=True, exist_ok=True)
    _run(
        ["debootstrap", "--variant=minbase", f"--cache-dir={cache.resolve()}", suite, str(root)]
        + [_mirror()] * bool(_mirror())
    )
    for file in REGISTRY_FILES:
        _take_over(Path(file), root)


def copied(original: Path, root: Path) -> None:
    subprocess.run(["cp", "--archive", "--one-file-system", "--reflink=auto", f"{original}/.", str(root)], check=True)  # noqa: S607


@contextmanager
def mounted(root: Path) -> Iterator[None]:
    """/proc and /dev, while commands run in it."""
    mounts = [("proc", "proc", "/proc"), ("tmpfs", "tmpfs", "/dev/shm")]  # noqa: S108
    done: list[Path] = []
    for device in ("null", "zero", "urandom", "random", "tty"):
        node = root / "dev" / device
        if not node.exists():
            _run(["cp", "--archive", f"/dev/{device}", str(node)])
    try:
        for kind, source, place in mounts:
            target = root / place.lstrip("/")
            target.mkdir(parents=True, exist_ok=True)
            _run(["mount", "-t", kind, source, str(target)])
            done.append(target)
        yield
    finally:
        for target in reversed(done):
            _run(["umount", "--lazy", str(target)])


def run(
    root: Path, arguments: Sequence[str], *, env: Mapping[str, str], directory: str = "/", user: str = "0:0"
) -> "subprocess.CompletedProcess[str]":
    """Its output, and its status unchecked."""
    return subprocess.run(
        ["chroot", f"--userspec={user}", str(root), "/usr/bin/env", "-C", directory, *arguments],  # noqa: S607
        env={**registries(), **env},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def registries() -> dict[str, str]:
    """How package managers reach their registries from here."""
    return {name: value for name, value in os.environ.items() if name in PROXIES or name.startswith(REGISTRY_VARIABLES)}


def _mirror() -> str:
    """The one that apt uses here, if it names one in a way that can be read."""
    listed = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(SITE)"],  # noqa: S607
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    ).stdout.split()
    return next((site for site in listed if "security" not in site), "")


def _take_over(path: Path, root: Path) -> None:
    target = root / str(path).lstrip("/")
    if path.is_dir():
        shutil.copytree(path, target, symlinks=True, dirs_exist_ok=True)
    elif path.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)


def _run(arguments: list[str]) -> None:
    done = subprocess.run(arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        raise NoCleanRoot(f"{arguments[0]} failed: {' '.join(done.stdout.split())[-400:]}")
