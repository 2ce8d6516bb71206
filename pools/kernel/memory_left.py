"""How much memory is left for more agent processes."""

import re
from pathlib import Path

import psutil

CACHE = re.compile(r"^inactive_file (\d+)$", re.MULTILINE)
CGROUP = Path("/sys/fs/cgroup")  # the container's own, where there is one


def memory_left() -> tuple[int, int]:
    """Bytes that are free for more processes, and all that there are: of the container's limit if it has one (cgroup
    v2), else of the machine."""
    machine = psutil.virtual_memory()
    free, total = machine.available, machine.total
    try:
        limit = int((CGROUP / "memory.max").read_text())
        used = int((CGROUP / "memory.current").read_text())
        cache = CACHE.search((CGROUP / "memory.stat").read_text())
    except (OSError, ValueError):  # no such file, or "max"
        return free, total
    return min(free, max(0, limit - used + (int(cache[1]) if cache else 0))), min(total, limit)
