"""Builds the images and checks them: they run as a plain user, import what they need, and hold no secret."""

import json
import re
import time
from collections.abc import Callable
from pathlib import Path

from trials.shipping.engine import Engine, limits

# Settings are read at the import: a container without them says so and stops.
SETTINGS = (
    "DATABASE_URL=postgres://nobody:nothing@127.0.0.1:1/none",
    "SECRET_KEY=for-this-look-at-an-image-0123456789",
    "DAILY_API_KEY=for-this",
)
RUN = ("run", "--rm", "--network=none", "--no-healthcheck")
TRIES = {
    "api": [
        (["python", "-c", "import django, psycopg, gunicorn"], True),
        (["python", "-c", "import pipecat"], False),
        (["python", "-c", "import aiohttp"], False),
        (["python", "-c", "import devtools"], False),
        (["gunicorn", "--check-config"], True),
        (["python", "manage.py", "check"], True),
    ],
    "pods": [
        (["python", "-c", "import pools.agent.bots.default"], True),
        (["python", "-c", "import devtools"], False),
        (["python", "manage.py", "runpools", "--help"], True),
        (["python", "manage.py", "check"], True),
    ],
    "devtools": [
        (["python", "-c", "import pipecat"], False),
        (["python", "manage.py", "rundailysandbox", "--help"], True),
        (["python", "manage.py", "seeddemo", "--help"], True),
    ],
}
MAX_MB = {"api": 250, "pods": 1300, "devtools": 300}  # above Debian's: the one made here is larger than the pinned one
SUSPICIOUS = re.compile(r"(^|/)(\.env|\.git|\.data|id_rsa|.*\.pem|dev\.json)$")


def build(engine: Engine, project: Path, target: str, say: Callable[[str], None]) -> str:
    """Build an image and return its name, as in compose.yaml. Raises EngineFailed."""
    began, name = time.monotonic(), f"breezebuddy-{target}"
    engine(
        *("build", "--target", target, "--tag", name, "--pull=never", "--format", "docker"),
        *("--isolation", "chroot", "--network", "host", project),
    )
    say(f"{target}: built in {time.monotonic() - began:.0f} s")
    return name


def problems_of(engine: Engine, base: str, target: str, name: str, say: Callable[[str], None]) -> list[str]:
    (found,) = json.loads(engine("image", "inspect", name))
    said, problems = found["Config"], []
    if said["User"].split(":")[0] in ("", "0", "root"):
        problems.append("runs as root")
    if said["Entrypoint"][:1] != ["tini"]:
        problems.append("PID 1 is no init")
    for command, expected in TRIES[target]:
        done = engine.tried(*RUN, "--read-only", *limits(), *_settings(), name, *command)
        if (done.returncode == 0) != expected:
            problems.append(f"{' '.join(command)}: exit {done.returncode}: {(done.stdout + done.stderr)[-500:]}")
    if writable := _files(engine, name, "/app", "/opt/venv", "-writable", "-not", "-type", "l"):
        problems.append(f"its user can write to {', '.join(writable[:5])}")
    (debian,) = json.loads(engine("image", "inspect", base))
    size = (found["Size"] - debian["Size"]) // 1_000_000
    if size > MAX_MB[target]:
        problems.append(f"{size} MB above Debian's, more than {MAX_MB[target]}")
    code = _files(engine, name, "/app", "-type", "f")
    if secret := [path for path in code if SUSPICIOUS.search(path)]:
        problems.append(f"holds {', '.join(secret[:5])}")
    if not any(path.endswith(".pyc") for path in code):
        problems.append("no bytecode: each start would compile it")
    say(f"{target}: {size} MB above Debian's, user {said['User']}, {' '.join([*said['Entrypoint'], *said['Cmd']])}")
    return [f"{target}: {problem}" for problem in problems]


def _settings() -> list[str]:
    return [f"--env={setting}" for setting in SETTINGS]


def _files(engine: Engine, name: str, *search: str) -> list[str]:
    return engine(*RUN, *limits(), "--entrypoint=find", name, *search).split()
