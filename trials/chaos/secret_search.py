"""What is secret is looked for in all that a run has shown and left: logs, arguments and environments of processes,
bodies of errors, every kind of page of the admin. Where one is found is said, never what."""

import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping

import requests

from trials.chaos import processes
from trials.chaos.callers import PHONE
from trials.chaos.findings import Finding, fact
from trials.chaos.fleet_world import FleetWorld
from trials.client import PREFIX
from trials.world import DidNotHappen

ANY_MEETING_TOKEN = re.compile(r"eyJ[\w-]{10,}\.[\w-]+\.[\w-]+")
LINK = re.compile(r'href="(/admin/[^"#?]*)')
LEAVES = re.compile(r"/(logout|delete|add|password|password_change|autocomplete|jsi18n)/")
PAGES_OF_A_KIND = 3
WRONG: tuple[tuple[str, dict[str, object]], ...] = (
    ("connect", {"lead_id": "no-uuid"}),
    ("connect", {}),
    ("leads", {"payload": {"customer_mobile_number": PHONE}}),
)


def searched(world: FleetWorld) -> Iterator[Finding]:
    """Search for secrets while a pod runs and a call is in progress."""
    world.pods(1)
    line = world.line()
    call = world.call(line)
    secrets = _secrets(world)
    bodies = {f"{answer.status} {answer.detail}" for answer in world.answers if answer.status != 200}
    bodies |= {str(line.request("POST", f"{PREFIX}/{path}", body)) for path, body in WRONG}
    line.close()
    shown = {"bodies of errors": bodies, **_of_processes(secrets), "pages of the admin": _admin_pages(world)}
    for place, texts in shown.items():
        yield _clean(place, texts, secrets)
    world.hang_up(call)
    world.wait_until_over(call)
    world.wait_until_level()
    logs = {log.read_text(errors="replace") for log in world.directory.glob("*.log*")}
    yield _clean("logs", logs, secrets)
    found = sum(bool(ANY_MEETING_TOKEN.search(log)) for log in logs)
    yield fact(0, "no meeting token of anybody in a log", logs and not found, f"{len(logs)} logs")


def _secrets(world: FleetWorld) -> Mapping[str, str]:
    environment = world.environment
    tokens = {f"meeting token {number}": a.token for number, a in enumerate(world.answers) if a.token}
    return {
        "Daily's key": environment["DAILY_API_KEY"],
        "the secret key": environment["SECRET_KEY"],
        "the database's address": environment["DATABASE_URL"],
        "a provider's key": environment["OPENAI_API_KEY"],
        "an API token": world.token,
        "a phone number": PHONE,
        **tokens,
    }


def _of_processes(secrets: Mapping[str, str]) -> dict[str, set[str]]:
    """Arguments of all, environments of the agents, which only root can read; a provider's key is what these are
    given."""
    arguments, environments = set(), set()
    for pid in processes.descendants_of_the_run():
        arguments.add(processes.said_by_the_kernel(pid, "cmdline"))
        if processes.is_agent(pid):
            environment = processes.said_by_the_kernel(pid, "environ")
            environments.add(environment.replace(secrets["a provider's key"], ""))
    found = {"arguments of processes": arguments}
    return {**found, "environments of agents": environments} if os.geteuid() == 0 else found


def _admin_pages(world: FleetWorld) -> set[str]:
    """Return the pages that links from the first page reach, three of a kind."""
    pages, kinds, ahead = {}, Counter[str](), ["/admin/"]
    with requests.Session() as browser:
        browser.trust_env = False
        _log_in(browser, world)
        while ahead:
            path = ahead.pop()
            kind = re.sub(r"\d+", "N", path)
            if path in pages or kinds[kind] >= PAGES_OF_A_KIND or LEAVES.search(path):
                continue
            kinds[kind] += 1
            answer = browser.get(world.url + path, timeout=30)
            if answer.status_code >= 500:
                raise DidNotHappen(f"{path}: {answer.status_code}")
            pages[path] = answer.text
            ahead += LINK.findall(answer.text)
    if not any("/voicesession/" in path for path in pages):
        raise DidNotHappen(f"the admin was not looked through: {sorted(pages)[:20]}")
    return set(pages.values())


def _log_in(browser: requests.Session, world: FleetWorld) -> None:
    name, password = world.admin
    login = f"{world.url}/admin/login/"
    browser.get(login, timeout=30)
    form = {"username": name, "password": password, "csrfmiddlewaretoken": browser.cookies["csrftoken"]}
    browser.post(login, form, headers={"Referer": login}, timeout=30)


def _clean(place: str, texts: set[str], secrets: Mapping[str, str]) -> Finding:
    found = sorted({name for name, secret in secrets.items() for text in texts if secret in text})
    note = f"{len(texts)} looked through for {len(secrets)}" + (f"; FOUND: {found[:5]}" if found else "")
    return fact(0, f"no secret in {place}", texts and not found, note)
