"""What came out of the Dockerfile, looked at: runs as a plain user, imports what it needs, has no secret in it."""

import re
from collections.abc import Callable
from pathlib import Path

from shipping import clean_root
from shipping.images import Built

# Settings are read at the import: a container without them says so and stops.
SETTINGS = {
    "DATABASE_URL": "postgres://nobody:nothing@127.0.0.1:1/none",
    "SECRET_KEY": "for-this-check-only",
    "DAILY_API_KEY": "for-this-check-only",
}
TRIES = {
    "api": [
        (["python", "-c", "import django, psycopg, gunicorn"], True),
        (["python", "-c", "import pipecat"], False),
        (["gunicorn", "--check-config"], True),
        (["python", "manage.py", "check"], True),
    ],
    "pods": [
        (["python", "-c", "import pools.agent.bots.default"], True),
        (["python", "manage.py", "runpools", "--help"], True),
        (["python", "manage.py", "check"], True),
    ],
}
MAX_MB = {"api": 400, "pods": 1600}
SUSPICIOUS = re.compile(r"(^|/)(\.env|\.git|\.data|id_rsa|.*\.pem|dev\.json)$")


def problems_of(target: str, built: Built, say: Callable[[str], None]) -> list[str]:
    problems = []
    if built.user.split(":")[0] in ("0", "root"):
        problems.append("runs as root")
    if built.entrypoint[:1] != ["tini"]:
        problems.append("PID 1 is no init")
    with clean_root.mounted(built.root):
        for command, expected in [*TRIES[target], ([*built.entrypoint[:1], "--version"], True)]:
            done = clean_root.run(
                built.root, command, env=built.env | SETTINGS, directory=built.directory, user=built.user
            )
            if (done.returncode == 0) != expected:
                problems.append(f"{' '.join(command)}: exit {done.returncode}: {done.stdout[-500:]}")
        writable = _writable_by(built)
    if writable:
        problems.append(f"its user can write to {', '.join(writable[:5])}")
    size = _size_mb(built.root)
    if size > MAX_MB[target]:
        problems.append(f"{size} MB, more than {MAX_MB[target]}")
    app = built.root / "app"
    secret = [str(path.relative_to(app)) for path in app.rglob("*") if SUSPICIOUS.search(str(path))]
    if secret:
        problems.append(f"holds {', '.join(secret[:5])}")
    if not list(app.rglob("*.pyc")):
        problems.append("no bytecode: each start would compile it")
    say(f"{target}: {size} MB, user {built.user}, {' '.join([*built.entrypoint, *built.command])}")
    return problems


def _writable_by(built: Built) -> list[str]:
    """Files of the code and the packages; what is mounted for writing (/tmp, /var/lib/breezebuddy) may be."""
    done = clean_root.run(
        built.root, ["find", "/app", "/opt/venv", "-writable", "-not", "-type", "l"], env=built.env, user=built.user
    )
    return done.stdout.split()


def _size_mb(root: Path) -> int:
    return (
        sum(path.lstat().st_size for path in root.rglob("*") if path.is_file() and not path.is_symlink()) // 1_000_000
    )
