"""The walk-through of docs/api.md: its commands are run, one after the other, and answer what it says."""

import io
import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client

from tests.support.make import make_agent_process, make_daily_account, make_room

DOCS = (Path(__file__).resolve().parent.parent.parent / "docs" / "api.md").read_text()
COMMAND = re.compile(
    r"(?:(?P<name>[A-Z]+)=\$\()?(?P<curl>curl .*?)(?: \| jq -r (?P<pick>\S+)\))?  # (?P<status>\d{3})$"
)


def commands() -> list[dict[str, str | None]]:
    """Each curl of the page, on one line; an indented line goes on with the one before."""
    blocks = re.findall(r"```sh\n(.*?)```", DOCS, re.DOTALL)
    lines = re.sub(r"(?:\s*\\)?\n\s+", " ", "".join(blocks)).splitlines()
    found = [COMMAND.fullmatch(line) for line in lines if "curl" in line]
    assert all(found), "a curl without its status"
    return [match.groupdict() for match in found if match]


def picked(answer: Any, path: str) -> Any:
    for step in re.findall(r"\w+", path):
        answer = answer[int(step)] if step.isdigit() else answer[step]
    return answer


def expanded(text: str, variables: dict[str, str]) -> str:
    text = text.replace("${API%/breeze-buddy}", variables["API"].removesuffix("/breeze-buddy"))
    return re.sub(r"\$([A-Z]+)", lambda name: variables[name[1]], text)


def from_dev_file() -> dict[str, str]:
    """The variables that the page takes from `.data/dev.json`: what `make run` puts there and into the database."""
    answer = io.StringIO()
    call_command("seeddemo", force=True, stdout=answer)
    seeded = json.loads(answer.getvalue())
    names = re.findall(r"^([A-Z]+)=\$\(jq -r \.(\w+) \.data/dev\.json\)$", DOCS, re.MULTILINE)
    assert names
    return {name: seeded[field] for name, field in names}


@pytest.mark.django_db
def test_the_walk_through_works_as_it_is_written(settings):
    settings.DAILY_API_KEY = "a-daily-api-key-of-the-test-long-enough-for-hs256"
    make_daily_account()
    for _ in range(2):
        make_room(), make_agent_process()
    variables = {"API": "/agent/voice/breeze-buddy"} | from_dev_file()
    assert len(commands()) >= 13
    for command in commands():
        answer = run(shlex.split(expanded(str(command["curl"]), variables)))
        assert answer.status_code == int(str(command["status"])), (command["curl"], answer.content[:300])
        if "lead/abort" in str(command["curl"]):
            assert [one["status"] for one in answer.json()["leads"]] == ["success"]
        if command["name"]:
            variables[command["name"]] = picked(answer.json(), str(command["pick"]))


def run(words: list[str]) -> Any:
    """What `curl` would ask."""
    method, path, headers, body = "GET", "", {}, ""
    rest = iter(words[1:])
    for word in rest:
        match word:
            case "-sS" | "--fail-with-body":
                pass
            case "-X":
                method = next(rest)
            case "-H":
                name, _, value = next(rest).partition(": ")
                headers[name] = value
            case "-d":
                body = next(rest)
                json.loads(body)
            case _:
                path = word
    content_type = headers.pop("Content-Type", "application/x-www-form-urlencoded")
    return Client(raise_request_exception=False).generic(method, path, body, content_type, headers=headers)


def test_every_endpoint_of_the_walk_through_is_described():
    described = Client().get("/openapi.json").json()["paths"]
    for path in ("leads", "leads/bulk", "lead/abort", "connect", "login", "s2s-token", "templates"):
        assert f"/agent/voice/breeze-buddy/{path}" in described
