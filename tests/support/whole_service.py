"""gunicorn and runpools together, with everything real behind them: zygote, agents, PostgreSQL, Daily sandbox."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from tests.support.api import LEADS, POOL_STATUS, ROOM_POOL_STATUS, lead_body
from tests.support.daily_sandbox import Sandbox
from tests.support.make import bearer, make_template
from tests.support.programs import Program, running_gunicorn, running_runpools
from tests.support.waiting import wait_until

WARMUP_DEADLINE = 90.0


@dataclass
class Service:
    """Both commands, running. Requests go over TCP, with a token of role admin."""

    url: str
    headers: dict[str, str] = field(repr=False)
    runpools: Program
    gunicorn: Program

    def post(self, path: str, body: dict[str, Any], **headers: str) -> requests.Response:
        return requests.post(self.url + path, json=body, headers=self.headers | headers, timeout=10)

    def get(self, path: str) -> Any:
        response = requests.get(self.url + path, headers=self.headers, timeout=10)
        assert response.status_code == 200
        return response.json()

    def push(self, **values: Any) -> str:
        response = self.post(LEADS, lead_body(**values))
        assert response.status_code == 201
        return str(response.json()["lead_call_tracker_id"])

    def lead(self, lead_id: str) -> Any:
        return self.get(f"{LEADS}/{lead_id}")

    def available(self) -> tuple[int, int]:
        """Agent processes and rooms in stock, by the status endpoints."""
        return self.get(POOL_STATUS)["available"], self.get(ROOM_POOL_STATUS)["available"]

    def processes(self) -> set[int]:
        programs = (self.runpools, self.gunicorn)
        return {pid for program in programs for pid in {program.pid} | program.descendants()}


@contextmanager
def running_service(sandbox: Sandbox, directory: Path, **variables: str) -> Iterator[Service]:
    """One available process, two rooms and a template `demo`. VARIABLES are added to both environments."""
    make_template("demo")
    with (
        running_runpools(sandbox, directory, **variables) as runpools,
        running_gunicorn(sandbox, directory, **variables) as (gunicorn, url),
    ):
        service = Service(url, bearer(), runpools, gunicorn)
        wait_until(lambda: service.available() == (1, 2), WARMUP_DEADLINE)
        yield service
