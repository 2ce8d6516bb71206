"""Under gunicorn: whichever worker is asked tells the sum of all, those that have died included."""

import os
import signal
import tempfile
from pathlib import Path

import pytest
import requests

from pools.metrics.processes import children_of
from tests.project.test_metrics import samples, value
from tests.support.programs import running_gunicorn
from tests.support.waiting import wait_until

DEADLINE = 30.0
HEALTH = {"method": "GET", "route": "health", "status": "200"}


def directories(master: int) -> list[Path]:
    parents = {Path("/dev/shm"), Path(tempfile.gettempdir())}  # noqa: S108 (as metrics_directory)
    return [place for parent in parents for place in parent.glob(f"breezebuddy-metrics-{master}-*")]


@pytest.mark.django_db(transaction=True)
def test_what_a_worker_has_counted_outlives_it_and_the_directory_goes_with_the_master(sandbox, tmp_path):
    with running_gunicorn(sandbox, tmp_path) as (gunicorn, url):

        def healths() -> float:
            found = samples(requests.get(f"{url}/metrics", timeout=10).text)
            return value(found, "http_request_duration_seconds_count", **HEALTH)

        forwarded = {"SCRIPT_NAME": "/elsewhere", "PATH_INFO": "/nowhere"}  # by us, on loopback, whom gunicorn trusts
        assert requests.get(f"{url}/health", headers=forwarded, timeout=10).json() == {"status": "ok"}
        before = healths()
        for _ in range(5):
            requests.get(f"{url}/health", timeout=10)
        assert healths() == before + 5
        (worker,) = children_of(gunicorn.pid)
        os.kill(worker, signal.SIGKILL)
        wait_until(lambda: children_of(gunicorn.pid) - {worker}, DEADLINE)
        assert healths() == before + 5
        (directory,) = directories(gunicorn.pid)
        (directory / "counter_1.db").touch()  # of a worker that was killed before it had written anything
        (directory / "histogram_2.db").write_bytes(b"damaged")
        assert healths() == before + 5
        assert "event=metrics_file_damaged file=histogram_2.db" in gunicorn.output()
        assert directory.stat().st_mode & 0o077 == 0
        gunicorn.signal(signal.SIGTERM)
        gunicorn.wait(DEADLINE)
        assert not directory.exists()
