"""`python -m trials attack`: attacks the API of a private service, as a tenant and without any credentials.

Each attack runs for some seconds while a process of its own asks for `/health`, each time over a new connection. It
fails if a request stays unanswered, or if the 99th percentile is more than ten times that of an idle service.
"""

import argparse
import http.client
import json
import re
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.cookies import SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from trials.client import PREFIX
from trials.console import say
from trials.ending import EXIT_STATUS, conclude
from trials.figures import Figure, milliseconds
from trials.report import Report
from trials.world import DATA_DIR, LIGHT_BOT, DidNotHappen, Sizes, World, private_world

SIZES = Sizes(processes=2, rooms=3)
SECONDS = 12.0
IDLE_SHARE = 4  # as many times longer: its p99, which all others are compared with, then has 1,200 samples
PROBES_PER_SECOND = 25
PATIENCE_S = 10.0  # then a probe counts as unanswered
WORST_RATIO = 10.0
LEAST_P99_MS = 5.0  # of the idle service, when it is compared: below that the ratio is the machine's noise
SILENT, DRIPPING, GUESSING, SLOW_HOSTS = 200, 60, 40, 120
OTHERS_WEBHOOK_S = 15.0
VARIABLES = {"REPORTING_WEBHOOK_NETWORKS": "127.0.0.0/8", "REPORTING_WEBHOOK_KEYS": "k" * 40}
LOG_IN = "/admin/login/"
SECRET_FIELD = re.compile(r'name="csrfmiddlewaretoken" value="([^"]+)"')


@dataclass(frozen=True)
class Answer:
    status: int
    text: str
    cookies: dict[str, str]


class Attacker:
    """Sends requests over new connections and counts the answers."""

    def __init__(self, world: World) -> None:
        self.address = ("127.0.0.1", int(world.url.rpartition(":")[2]))
        self.admin = world.admin
        self.token = world.token
        self.statuses: dict[str, int] = {}
        self._lock = threading.Lock()

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """Send a request. A body that is not a string is sent as JSON with an admin's token."""
        if not isinstance(body, str):
            headers |= {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
            body = None if body is None else json.dumps(body)
        connection = http.client.HTTPConnection(*self.address, timeout=PATIENCE_S)
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            jar = SimpleCookie("; ".join(response.headers.get_all("Set-Cookie", [])))
            cookies = {name: morsel.value for name, morsel in jar.items()}
            answer = Answer(response.status, response.read().decode(errors="replace"), cookies)
        except (OSError, http.client.HTTPException) as error:
            answer = Answer(0, type(error).__name__, {})
        finally:
            connection.close()
        with self._lock:
            key = str(answer.status or answer.text)
            self.statuses[key] = self.statuses.get(key, 0) + 1
        return answer

    def made(self, path: str, body: Any) -> Any:
        answer = self.ask("POST", path, body)
        if answer.status != 201:
            raise DidNotHappen(f"{path}: {answer.status} {answer.text[:200]}")
        return json.loads(answer.text)

    def template(self, schema: dict[str, Any] | None = None, reseller: str = "demo") -> str:
        values = {"name": f"attack-{uuid.uuid4()}", "reseller_id": reseller, "expected_payload_schema": schema}
        return str(self.made(f"{PREFIX}/templates", values)["id"])

    def lead(self, template: str, payload: dict[str, Any], reseller: str = "demo", **values: Any) -> dict[str, Any]:
        return {
            "request_id": "attack",
            "template_id": template,
            "reseller_id": reseller,
            "execution_mode": "DAILY",
            "payload": payload,
            **values,
        }

    def push(self, lead: dict[str, Any]) -> str:
        return str(self.made(f"{PREFIX}/leads", lead)["lead_call_tracker_id"])

    def log_in(self, name: str, password: str, form: Answer | None = None) -> Answer:
        """Log in at the admin's form. With the right password the answer's cookies have a session."""
        form = form or self.ask("GET", LOG_IN, "")
        found = SECRET_FIELD.search(form.text)
        fields = {"username": name, "password": password, "csrfmiddlewaretoken": found[1] if found else ""}
        return self.ask(
            "POST",
            LOG_IN,
            urlencode({**fields, "next": "/admin/"}),
            **{"Content-Type": "application/x-www-form-urlencoded"},
            Cookie=f"csrftoken={form.cookies.get('csrftoken', '')}",
        )


@contextmanager
def repeated(threads: int, act: Callable[[], object]) -> Iterator[None]:
    """Call `act` repeatedly from this many threads until the block ends."""
    over = threading.Event()

    def work() -> None:
        while not over.is_set():
            act()

    running = [threading.Thread(target=work, daemon=True) for _ in range(threads)]
    for thread in running:
        thread.start()
    try:
        yield
    finally:
        over.set()
        until = time.monotonic() + 2 * PATIENCE_S
        for thread in running:
            thread.join(max(0.0, until - time.monotonic()))


# --- the attacks: each is under way until its block ends ---------------------------------------------------


@contextmanager
def payload_schemas(attacker: Attacker) -> Iterator[None]:
    """Push recursive schemas, and the largest lists under the largest accepted schemas."""
    itself = {"allOf": [{"properties": {"x": {"$ref": "#"}}}, {"properties": {"x": {"$ref": "#"}}}]}
    values = {"name": "itself", "reseller_id": "demo", "expected_payload_schema": itself}
    refused = attacker.ask("POST", f"{PREFIX}/templates", values)
    if refused.status != 422:
        raise DidNotHappen(f"a schema that leads back to itself: {refused.status}")
    template = attacker.template({"properties": {"x": {"allOf": [{"items": {"type": "integer"}}] * 2000}}})
    leads = [attacker.lead(template, {"x": list(range(count))}) for count in (5, 40_000)]
    with repeated(2, lambda: [attacker.ask("POST", f"{PREFIX}/leads", lead) for lead in leads]):
        yield


@contextmanager
def slow_connections(attacker: Attacker) -> Iterator[None]:
    """Open sockets that send nothing, or a header line or a byte of a body now and then."""
    with ExitStack() as sockets:

        def connected() -> socket.socket:
            return sockets.enter_context(socket.create_connection(attacker.address, 10))

        opened = [connected() for _ in range(SILENT)]
        heads = [connected() for _ in range(DRIPPING)]
        bodies = [connected() for _ in range(DRIPPING)]
        for one in heads:
            one.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n")
        for one in bodies:
            one.sendall(f"POST {PREFIX}/leads HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n".encode())

        def drip() -> None:
            for one, part in [*((head, b"X-A: a\r\n") for head in heads), *((body, b"{") for body in bodies)]:
                try:
                    one.sendall(part)
                except OSError:
                    continue  # the service has closed it
            time.sleep(1)

        with repeated(1, drip):
            yield
        del opened


@contextmanager
def guessed_passwords(attacker: Attacker) -> Iterator[None]:
    """Try many passwords at once, again one second after each answer."""
    form = attacker.ask("GET", LOG_IN, "")

    def guess() -> None:
        attacker.log_in(attacker.admin[0], "wrong", form)
        time.sleep(1)

    with repeated(GUESSING, guess):
        yield


@contextmanager
def large_requests(attacker: Attacker) -> Iterator[None]:
    """Send bulk pushes of empty values up to the limit of a body, and list the largest leads."""
    template = attacker.template()
    for _ in range(10):
        attacker.push(attacker.lead(template, {"text": "x" * 510_000}))
    bulk: dict[str, list[list[int]]] = {"leads": [[]] * 4_000_000}
    body = json.dumps(bulk)
    headers = {"Authorization": f"Bearer {attacker.token}", "Content-Type": "application/json"}
    with (
        repeated(1, lambda: attacker.ask("POST", f"{PREFIX}/leads/bulk", body, **headers)),
        repeated(2, lambda: attacker.ask("GET", f"{PREFIX}/leads?limit=100&template_id={template}")),
    ):
        yield


@contextmanager
def stored_text(attacker: Attacker) -> Iterator[None]:
    """View a lead in the admin with half a megabyte of text that looks like addresses."""
    lead = attacker.push(attacker.lead(attacker.template(), {"note": "a." * 250_000}))
    session = attacker.log_in(*attacker.admin).cookies.get("sessionid")
    if not session:
        raise DidNotHappen("an admin could not log in")
    found = attacker.ask("GET", f"/admin/leads/lead/?q={lead}", "", Cookie=f"sessionid={session}")
    page = re.search(r"/admin/leads/lead/\d+/change/", found.text)
    if page is None:
        raise DidNotHappen(f"the admin does not list the lead: {found.status}")
    with repeated(1, lambda: attacker.ask("GET", page[0], "", Cookie=f"sessionid={session}")):
        yield


@contextmanager
def slow_webhooks(attacker: Attacker) -> Iterator[None]:
    """Give one reseller many slow webhook hosts. Another reseller's webhook must still arrive."""
    arrived = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            arrived.set()
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ExitStack() as stack:
        quick = stack.enter_context(ThreadingHTTPServer(("127.0.0.1", 0), Handler))
        threading.Thread(target=quick.serve_forever, daemon=True).start()
        stack.callback(quick.shutdown)
        greedy, other = attacker.template(reseller="greedy"), attacker.template(reseller="other")
        hanging = []
        for number in range(SLOW_HOSTS):
            listening = stack.enter_context(socket.create_server((f"127.0.1.{number + 1}", 0), backlog=8))
            url = "http://{}:{}/".format(*listening.getsockname())
            hanging.append(attacker.push(attacker.lead(greedy, {}, "greedy", reporting_webhook_url=url)))
        _abort(attacker, hanging)
        url = f"http://127.0.0.1:{quick.server_port}/"
        _abort(attacker, [attacker.push(attacker.lead(other, {}, "other", reporting_webhook_url=url))])
        yield
        if not arrived.wait(OTHERS_WEBHOOK_S):
            raise DidNotHappen(f"another reseller's webhook, within {OTHERS_WEBHOOK_S:g} s")


def _abort(attacker: Attacker, leads: Sequence[str]) -> None:
    wanted = {"leads": [{"lead_id": lead, "cancellation_reason": "attack"} for lead in leads]}
    answer = attacker.ask("POST", f"{PREFIX}/lead/abort", wanted)
    if answer.status != 200:
        raise DidNotHappen(f"abort: {answer.status} {answer.text[:200]}")


ATTACKS: dict[str, Callable[[Attacker], Any]] = {
    "payload schemas": payload_schemas,
    "slow connections": slow_connections,
    "stored text": stored_text,  # before the guesses: it has to log in
    "large requests": large_requests,
    "slow webhooks": slow_webhooks,
    "guessed passwords": guessed_passwords,
}


# --- what a bystander sees ---------------------------------------------------------------------------------


def probe(address: tuple[str, int], seconds: float) -> list[float | None]:
    """Return the seconds of each `/health`, each over a new connection; None: no answer. Runs in its own process."""
    taken: list[float | None] = []
    begin = time.monotonic()
    for number in range(int(seconds * PROBES_PER_SECOND)):
        time.sleep(max(0.0, begin + number / PROBES_PER_SECOND - time.monotonic()))
        sent = time.perf_counter()
        connection = http.client.HTTPConnection(*address, timeout=PATIENCE_S)
        try:
            connection.request("GET", "/health")
            answered = connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            answered = False
        finally:
            connection.close()
        taken.append(time.perf_counter() - sent if answered else None)
        if time.monotonic() - begin > 3 * seconds:
            break
    return taken


@dataclass(frozen=True)
class Row:
    name: str
    taken: Sequence[float | None]
    statuses: dict[str, int]

    @property
    def unanswered(self) -> int:
        return sum(one is None for one in self.taken)

    def at(self, percentile: str) -> float:
        samples = milliseconds([one for one in self.taken if one is not None] or [PATIENCE_S])
        return Figure(self.name, self.name, samples).at(percentile)

    def ratio(self, idle: "Row") -> float:
        return self.at("p99") / max(LEAST_P99_MS, idle.at("p99"))


def run(world: World, attacker: Attacker, seconds: float) -> list[Row]:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as bystander:
        bystander.submit(probe, attacker.address, 1).result()  # to have started it
        rows = [Row("idle", bystander.submit(probe, attacker.address, IDLE_SHARE * seconds).result(), {})]
        for name, attack in ATTACKS.items():
            say(name)
            attacker.statuses = {}
            with attack(attacker):
                taken = bystander.submit(probe, attacker.address, seconds)
                while not taken.done():
                    world.pause(0.2)
            rows.append(Row(name, taken.result(), dict(attacker.statuses)))
    return rows


def holds(rows: Sequence[Row]) -> bool:
    return all(row.unanswered == 0 and row.ratio(rows[0]) <= WORST_RATIO for row in rows)


def in_words(rows: Sequence[Row]) -> str:
    lines = [f"{'/health while':22}{'n':>5}{'p50 ms':>9}{'p99 ms':>9}{'max ms':>9}{'x idle':>8}{'unanswered':>12}"]
    for row in rows:
        figures = "".join(f"{row.at(percentile):9.1f}" for percentile in ("p50", "p99", "max"))
        counts = ", ".join(f"{status}: {count}" for status, count in sorted(row.statuses.items()))
        lines.append(f"{row.name:22}{len(row.taken):5}{figures}{row.ratio(rows[0]):8.1f}{row.unanswered:12}  {counts}")
    verdict = "the API answers everybody" if holds(rows) else "THE API CAN BE STOPPED"
    return "\n".join([*lines, f"{verdict}: at most {WORST_RATIO:g} times idle, never unanswered"])


@dataclass(frozen=True)
class Attacked:
    rows: Sequence[Row]

    @property
    def holds(self) -> bool:
        return holds(self.rows)

    def in_words(self) -> str:
        return in_words(self.rows)

    def as_json(self) -> dict[str, Any]:
        return {"rows": {row.name: {"health_s": row.taken, "answers": row.statuses} for row in self.rows}}


def main(name: str, words: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        prog=f"python -m trials {name}",
        description=__doc__,
        epilog=EXIT_STATUS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seconds", type=float, default=SECONDS, metavar="S", help="of each attack (%(default)g)")
    parser.add_argument(
        "--output", type=Path, default=DATA_DIR / "attack.json", metavar="FILE", help="where the JSON goes"
    )
    arguments = parser.parse_args(words)
    report = Report(name)

    def attacked() -> None:
        with (
            private_world(World) as world,
            world.other_api(**VARIABLES),
            world.pod(SIZES, VOICE_AGENT_BOT=LIGHT_BOT, **VARIABLES),
        ):
            report.result = Attacked(run(world, Attacker(world), arguments.seconds))

    return conclude(report, attacked, arguments.output)
