"""How much memory a process has for itself alone; what a fork shares with its siblings costs nothing."""

import re
from pathlib import Path

PRIVATE = re.compile(r"^Private_(?:Clean|Dirty|Hugetlb):\s+(\d+) kB", re.MULTILINE)


def private_bytes(pid: int) -> int:
    """From /proc/PID/smaps_rollup (proc(5)); 0 for a process that is gone or not ours to look at."""
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except (OSError, ValueError):
        return 0
    return sum(int(kilobytes) for kilobytes in PRIVATE.findall(rollup)) * 1024
