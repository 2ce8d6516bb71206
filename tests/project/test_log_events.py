"""docs/operations.md is what on-call has at night: it knows each event that is logged as a warning or as worse."""

import re
from pathlib import Path

from tests.support.programs import PROJECT

EVENT = re.compile(r"""\b(?:log|logger)\.(?:warning|error|exception|critical)\(\s*f?["']event=([a-z_]+)""")
SECTION = (PROJECT / "docs/operations.md").read_text().split("## Log lines and what to do")[1].split("\n## ")[0]
FIRST_COLUMNS = [row.split("|")[1] for row in SECTION.splitlines() if row.startswith("| `")]


def product() -> list[Path]:
    apps = ("access", "breezebuddy", "common", "devtools", "leads", "pools")
    return [path for app in apps for path in (PROJECT / app).rglob("*.py")]


def test_each_event_that_is_a_warning_or_worse_has_a_row():
    logged = {event for path in product() for event in EVENT.findall(path.read_text())}
    assert {"database_away", "pod_reaped", "request_failed"} <= logged  # the pattern finds them
    assert logged - set(re.findall(r"`([a-z_]+)`", " ".join(FIRST_COLUMNS))) == set()


def test_each_row_is_of_an_event_that_the_code_logs():
    code = "".join(path.read_text() for path in product())
    told = set(re.findall(r"`([a-z_]+)`", " ".join(re.sub(r"\(.*?\)", "", column) for column in FIRST_COLUMNS)))
    assert len(told) > 40
    made_of_parts = {"daily_webhook_created"}  # event=daily_webhook_%s
    assert {event for event in told - made_of_parts if not re.search(rf"\b{event}\b", code)} == set()
