"""A client of the service that `make run` started: reads dev.json and uses its token over HTTP."""

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

TIMEOUT = 10.0  # seconds for an answer; connect waits for at most a room that is made on demand


class NoService(Exception):
    """No service runs as dev.json describes. The message says what to do."""


class Refused(Exception):
    """The service answered with an error."""


@dataclass
class DevService:
    """`get` and `post` take paths and return the JSON of a 2xx answer. They raise NoService and Refused."""

    url: str
    token: str = field(repr=False)
    sandbox_url: str | None = None

    def __post_init__(self) -> None:
        self._http = requests.Session()
        self._http.trust_env = False  # a proxy has no business with 127.0.0.1
        self._http.headers["Authorization"] = f"Bearer {self.token}"

    @classmethod
    def read(cls, file: Path) -> "DevService":
        """Read dev.json. Raises NoService."""
        try:
            values = json.loads(file.read_text())
            return cls(values["base_url"], values["token"], values.get("sandbox_url"))
        except (OSError, ValueError, KeyError, TypeError) as exc:
            raise NoService(f"there is no service described in {file}: start it with `make run`") from exc

    def get(self, path: str, **query: str) -> dict[str, Any]:
        return self._call("GET", self.url + path, params=query)

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        return self._call("POST", self.url + path, json=body)

    def close(self) -> None:
        """Close the connection: gunicorn waits for open connections when it stops."""
        self._http.close()

    def post_to_sandbox(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        if not self.sandbox_url:
            raise NoService("there is no Daily sandbox: DAILY_API_KEY is set")
        return self._call("POST", self.sandbox_url + path, json=body)

    def _call(self, method: str, url: str, **options: Any) -> dict[str, Any]:
        try:
            answer = self._http.request(method, url, timeout=TIMEOUT, **options)
        except requests.RequestException as exc:
            raise NoService(f"nothing answers on {self.url}: start it with `make run`") from exc
        if not answer.ok:
            raise Refused(f"{method} {url}: {answer.status_code} {answer.text[:300]}")
        return answer.json()


def write_dev_file(file: Path, values: dict[str, str]) -> None:
    """Replace dev.json as a whole. It holds secrets: only its owner may read it."""
    fresh = file.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as opened:
        json.dump(values, opened, indent=2)
        opened.write("\n")
    fresh.replace(file)
