"""Lists which bots below a folder can run here: `make bots ARGS=DIR`.

Every file with an `async def bot(...)` is imported in a process of its own, with the environment and the search path
that a zygote gives to its bot, and asked what its import has left behind. Nothing is called and nothing is joined.
"""

import argparse
import ast
import json
import os
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pools.agent.config import AgentConfig
from pools.agent.environment import agent_environment

PROJECT = Path(__file__).resolve().parents[2]
SECONDS = 120.0
_MODULE = re.compile(r"No module named '([^']+)'")
_VARIABLE = re.compile(r"KeyError: '([A-Z][A-Z0-9_]*)'")
_SHOWN = 60


@dataclass(frozen=True)
class Found:
    """The result for one bot. `problem`: why its import fails; `missing`: the module or variable that it lacks."""

    path: str
    problem: str = ""
    missing: str = ""
    import_s: float = 0.0
    threads: str = ""
    sockets: str = ""
    transports: list[str] = field(default_factory=list)

    @property
    def start(self) -> str:
        """How its processes would be started: "fork", "spawn", "refused" (no Daily transport) or "-"."""
        if self.problem:
            return "-"
        if self.transports and "daily" not in self.transports:
            return "refused"
        return "spawn" if self.threads or self.sockets else "fork"


def bots_below(folder: Path) -> Iterator[Path]:
    """Yield the files that define a bot, except in installed packages and hidden folders."""
    for path in sorted(folder.rglob("*.py")):
        inside = path.relative_to(folder).parts
        if not any(part.startswith(".") or part == "site-packages" for part in inside) and _defines_bot(path):
            yield path


def _defines_bot(path: Path) -> bool:
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return False
    return any(isinstance(node, ast.AsyncFunctionDef) and node.name == "bot" for node in tree.body)


def look_at(path: Path, name: str, seconds: float = SECONDS) -> Found:
    """Import a bot in another process, and return what was found. `seconds`: how long its import may take."""
    began = time.monotonic()
    folder, module = path.parent, [path.stem]
    while (folder / "__init__.py").exists():
        module.insert(0, folder.name)
        folder = folder.parent
    config = AgentConfig(".".join(module), folder, PROJECT, env=agent_environment(os.environ))
    try:
        process = subprocess.run(
            [sys.executable, "-m", "pools.agent.census_of_one"],
            cwd=PROJECT,
            env=config.process_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Found(name, f"its import takes longer than {seconds:g} s", import_s=seconds)
    try:
        said = json.loads(process.stdout)
    except ValueError:
        said = {"problem": f"its process ended with status {process.returncode}"}
    return Found(name, missing=_missing(said.get("problem", "")), import_s=time.monotonic() - began, **said)


def _missing(problem: str) -> str:
    if module := _MODULE.search(problem):
        return module[1]
    return f"${variable[1]}" if (variable := _VARIABLE.search(problem)) else ""


def table(found: list[Found]) -> str:
    rows = [("bot", "imports", "s", "threads, sockets", "transports", "start", "missing")]
    rows += [
        (
            one.path,
            "no" if one.problem else "yes",
            f"{one.import_s:.1f}",
            _short("; ".join(filter(None, (one.threads, one.sockets)))) or "-",
            ",".join(one.transports) or "-",
            one.start,
            one.missing or _short(_why(one.problem)) or "-",
        )
        for one in found
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def summary(found: list[Found]) -> str:
    starts = Counter(one.start for one in found)
    lines = [
        f"{len(found)} bots: {len(found) - starts['-']} import; of these {starts['fork']} are forked, "
        f"{starts['spawn']} spawned, {starts['refused']} refused because they can join no Daily room"
    ]
    missing = Counter(
        f"lack {one.missing}" if one.missing else _short(_why(one.problem)) for one in found if one.problem
    )
    lines += [f"{number:5}  {what}" for what, number in missing.most_common()]
    return "\n".join(lines)


def _why(problem: str) -> str:
    """Without the name of the module, which stands in the row already."""
    return problem.partition(" does not import: ")[2] or problem


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"


def _with_progress(looked_at: Iterator[Found], number: int) -> Iterator[Found]:
    """On a terminal: a census takes seconds for each bot."""
    for done, one in enumerate(looked_at, 1):
        if sys.stderr.isatty():
            sys.stderr.write(f"\r{done} of {number}{chr(10) if done == number else ''}")
            sys.stderr.flush()
        yield one


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="make bots", description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="imports at a time")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="that one import may take")
    parser.add_argument("--json", type=Path, help="write the results to this file too")
    options = parser.parse_args(arguments)
    folder = options.folder.resolve()
    paths = list(bots_below(folder))
    if not paths:
        parser.error(f"no file below {folder} has an `async def bot(...)`")
    with ThreadPoolExecutor(options.jobs) as threads:
        looked_at = threads.map(lambda path: look_at(path, os.fspath(path.relative_to(folder)), options.seconds), paths)
        found = list(_with_progress(looked_at, len(paths)))
    sys.stdout.write(f"{table(found)}\n\n{summary(found)}\n")
    if options.json:
        results: list[dict[str, Any]] = [{**asdict(one), "start": one.start} for one in found]
        options.json.write_text(json.dumps(results, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
