"""What all trials share: one command, one ending, one report."""

import json
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from devtools.processes import StopRequested
from tests.support.programs import PROJECT
from trials.__main__ import TRIALS
from trials.ending import conclude
from trials.report import Report
from trials.world import DidNotHappen


class Counted:
    """The result of a trial that counts losses."""

    def __init__(self, lost: int) -> None:
        self.lost = lost

    @property
    def holds(self) -> bool:
        return self.lost == 0

    def in_words(self) -> str:
        return f"{self.lost} lost"

    def as_json(self) -> dict[str, Any]:
        return {"lost": self.lost}


def test_help_lists_every_trial() -> None:
    command = [sys.executable, "-m", "trials", "--help"]
    shown = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=60)
    assert shown.returncode == 0
    assert set(re.findall(r"^  (\w+) +\S.* ", shown.stdout.split("trials:")[1], re.MULTILINE)) == set(TRIALS)


@pytest.mark.parametrize("name", TRIALS)
def test_every_trial_says_how_it_is_called_and_what_its_exit_status_means(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        import_module(TRIALS[name][0]).main(name, ["--help"])
    assert ended.value.code == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert f"usage: python -m trials {name}" in shown and "Exit status: 0 success, 1 failure" in shown


@pytest.mark.parametrize(("lost", "status"), [(0, 0), (3, 1)])
def test_the_exit_status_is_that_of_the_result(lost: int, status: int, tmp_path: Path) -> None:
    report, output = Report("demo", Counted(lost)), tmp_path / "new" / "demo.json"
    assert conclude(report, lambda: None, output) == status
    written = json.loads(output.read_text())
    assert (written["trial"], written["holds"], written["lost"]) == ("demo", lost == 0, lost)


def test_a_trial_that_breaks_fails_and_shows_what_it_has(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def run() -> None:
        raise DidNotHappen("full pools: not within 60 s")

    output = tmp_path / "demo.json"
    assert conclude(Report("demo", Counted(0)), run, output) == 1
    assert json.loads(output.read_text())["broken"] == ["DidNotHappen: full pools: not within 60 s"]
    said = capsys.readouterr().out
    assert "0 lost" in said and "BROKEN: DidNotHappen: full pools" in said


def test_a_trial_without_a_result_fails() -> None:
    assert conclude(Report("demo"), lambda: None) == 1


def test_a_trial_that_is_interrupted_writes_nothing(tmp_path: Path) -> None:
    def run() -> None:
        raise StopRequested

    output = tmp_path / "demo.json"
    assert conclude(Report("demo", Counted(0)), run, output) == 130
    assert not output.exists()
