"""A plugin: the slowest files are begun first, so that what is begun last is short and nobody waits for it at the end.

xdist gives each worker a piece of the list to begin with, and lets those who are done take from the others' ends.
"""

import os
from itertools import islice

import pytest

# For one worker each. Those in which people speak stand together: one after the other, or they would not be heard.
BEGUN_TOGETHER = (
    ("test_silent_database", "test_lifecycle_stateful"),
    ("test_rundev", "test_cockpit_browser"),
    ("test_agent_voice", "test_voice_page", "test_voice_end_to_end"),
    ("test_upgrades", "test_runpools_service"),
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    if workers == 1:
        return
    pieces: list[list[pytest.Item]] = [[] for _ in range(workers)]
    for number, files in enumerate(BEGUN_TOGETHER):
        for file in files:
            pieces[number % workers] += [item for item in items if item.path.stem == file]
    first = {item for piece in pieces for item in piece}
    others = iter([item for item in items if item not in first])
    for number, piece in enumerate(pieces):
        size = len(items) * (number + 1) // workers - len(items) * number // workers
        piece += islice(others, max(0, size - len(piece)))
    items[:] = [*(item for piece in pieces for item in piece), *others]
