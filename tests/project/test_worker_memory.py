"""A gunicorn worker stays within its part of the memory that the shipped manifest allows, whatever it is sent."""

import json
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from common.strict_json import MAX_VALUES
from pools.metrics.processes import children_of
from tests.support.api import BULK, LEADS, lead_body
from tests.support.make import bearer, make_lead, make_template
from tests.support.programs import running_gunicorn
from tests.support.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
DEADLINE = 90.0
MASTER = 40 * 1024 * 1024
LARGE_TEXT = "\U0001f600" + "x" * 500_000  # one character of four bytes: the text takes four for each in memory


def part_of_a_worker() -> int:
    documents = yaml.safe_load_all((ROOT / "deploy/kubernetes/api.yaml").read_text())
    (deployment,) = (one for one in documents if one["kind"] == "Deployment")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    variables = {one["name"]: one.get("value") for one in container["env"]}
    limit = re.fullmatch(r"(\d+)Mi", container["resources"]["limits"]["memory"])
    assert limit
    return (int(limit[1]) * 1024 * 1024 - MASTER) // int(variables["WEB_CONCURRENCY"])


def peak(pid: int) -> int:
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found
    return int(found[1]) * 1024


def bulk(leads: list[Any]) -> bytes:
    return json.dumps({"leads": leads}, ensure_ascii=False).encode()


@pytest.mark.django_db(transaction=True)
def test_the_largest_requests_at_once_fit_into_the_memory_of_the_manifest(sandbox, tmp_path, settings):
    make_template("demo", expected_payload_schema={"properties": {"text": {"type": "string"}}})
    for _ in range(6):
        make_lead(payload={"text": LARGE_TEXT})
    largest = bulk([lead_body(payload={"text": LARGE_TEXT})] * 32)
    many = bulk([lead_body(payload={"n": [[]] * (MAX_VALUES - 100)})] * 9)
    refused = bulk([[]] * 4_000_000)
    assert len(refused) < len(largest) < settings.MAX_BULK_BODY_BYTES
    headers = {**bearer(), "Content-Type": "application/json"}
    with running_gunicorn(sandbox, tmp_path, WEB_THREADS="8") as (gunicorn, url):
        (worker,) = children_of(gunicorn.pid)

        def ask(body: bytes | None, expected: int) -> None:
            """Until there is room: others get 503, also from a database that is busy."""
            method, path = ("POST", BULK) if body else ("GET", f"{LEADS}?limit=100")
            wait_until(
                lambda: (
                    requests.request(method, url + path, data=body, headers=headers, timeout=60).status_code == expected
                ),
                DEADLINE,
            )

        with ThreadPoolExecutor(7) as clients:
            asked = clients.map(ask, (largest, many, refused, *[None] * 4), (200, 200, 422, *[200] * 4))
            assert len(list(asked)) == 7
        assert children_of(gunicorn.pid) == {worker}
        assert peak(worker) < part_of_a_worker()
