"""The benchmark's arithmetic and its report; the measures themselves are run by `make bench`."""

import json
import subprocess
import sys
from pathlib import Path

from trials.bench.report import Measurements
from trials.figures import Figure, ratio
from trials.report import Report

ROOT = Path(__file__).resolve().parent.parent.parent


def test_percentiles_are_samples_by_nearest_rank() -> None:
    figure = Figure("x", "x", [float(n) for n in range(100, 0, -1)])

    assert (figure.at("p50"), figure.at("p99"), figure.at("max")) == (50, 99, 100)
    assert Figure("x", "x", [7.0]).at("p99") == 7


def test_an_aim_is_met_only_if_all_its_percentiles_are() -> None:
    samples = [1.0] * 98 + [30.0] * 2

    assert Figure("x", "x", samples, aims={"p50": 8}).met is True
    assert Figure("x", "x", samples, aims={"p50": 8, "p99": 25}).met is False
    assert Figure("x", "x", samples).met is None


def test_a_ratio_is_that_of_the_medians() -> None:
    slow, fast = Figure("slow", "slow", [90.0, 100.0, 900.0]), Figure("fast", "fast", [10.0])

    assert ratio("r", "r", slow, fast).samples == [10]


def test_the_report_says_what_was_missed_and_what_did_not_work(tmp_path: Path) -> None:
    figure = Figure("x", "a thing", [9.0], aims={"p50": 8})
    measurements = Measurements(figures=[figure], failures={"burst": "DidNotHappen: why"})
    report = Report("bench", measurements)

    table = report.in_words()
    report.write(tmp_path / "new" / "bench.json")

    assert "MISSED" in table
    assert "burst DID NOT WORK: DidNotHappen: why" in table
    written = json.loads((tmp_path / "new" / "bench.json").read_text())
    assert written["figures"]["x"]["met"] is False
    assert written["failures"] == measurements.failures
    assert written["holds"] is report.holds is False


def test_the_no_pool_baseline_is_compared_with_the_warm_pair() -> None:
    report = Measurements(figures=[Figure("no_pool", "", [2000.0]), Figure("acknowledged_warm", "", [10.0])])

    report.finish()

    assert report.figures[-1].name == "no_pool_ratio"
    assert report.figures[-1].samples == [200]


def test_wrong_arguments_are_refused_before_anything_starts() -> None:
    for arguments in (["--rounds", "0"], ["--rounds", "x"], ["--only", "nonsense"]):
        command = [sys.executable, "-m", "trials", "bench", *arguments]
        refused = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)

        assert refused.returncode == 2
        assert arguments[1] in refused.stderr
