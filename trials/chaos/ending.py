"""How a run of these tools ends: with its findings, with what broke, or because somebody interrupted it."""

from collections.abc import Callable
from pathlib import Path

from trials.bench.ending import BROKEN, INTERRUPTED, INTERRUPTIONS
from trials.chaos.console import say
from trials.chaos.findings import Report


def concluded(run: Callable[[], None], report: Report, output: Path) -> int:
    """The exit status: 0 everything holds, 1 it does not or the run broke, 130 interrupted."""
    try:
        run()
    except INTERRUPTIONS:
        say("interrupted; everything has been ended")
        return INTERRUPTED
    except BROKEN as error:
        report.broken.append(f"{type(error).__name__}: {error}")
    for problem in report.broken:
        say(f"BROKEN: {problem}")
    for finding in report.findings:
        if finding.verdict != "holds":
            say(finding.in_words())
    say(", ".join(f"{name} {number}" for name, number in report.must_be_zero.items()))
    report.write(output)
    say(f"{'everything holds' if report.holds else 'NOT EVERYTHING HOLDS'}; {output}")
    return 0 if report.holds else 1


def keep_logs(directory: Path, kept: Path | None) -> None:
    """Those of the programs, where somebody wants them."""
    if kept:
        kept.mkdir(parents=True, exist_ok=True)
        for log in directory.glob("*.log*"):
            (kept / log.name).write_bytes(log.read_bytes())
