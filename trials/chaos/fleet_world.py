"""The private service with a fleet of pods, simulated callers, and a PostgreSQL that can be stopped."""

import secrets
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import psycopg

from devtools import embedded_postgres
from devtools.processes import Foreground, Program, children
from trials.chaos import accounts, audit_inputs, processes
from trials.chaos.audit import Audit
from trials.chaos.callers import Answer, Callers, Line
from trials.chaos.daily import Daily
from trials.chaos.fleet import Fleet, Pod
from trials.chaos.tables import Session, Tables
from trials.world import LIGHT_BOT, ROOT, DidNotHappen, World

LATENCY_S = 0.1  # of the sandbox
ACKNOWLEDGED = r"event=session_active session=(\S+) agent=(\S+)"
LEVEL_S = 90.0
PATIENT_S = 10.0
AUDIT_S = 40.0  # what is left on a host is looked for every few seconds, after a grace time
RETIRE = """
    UPDATE pools_room SET status = 'ended', ended_at = now(), end_reason = 'between scenarios'
     WHERE status IN ('warming', 'available')
"""


class FleetWorld(World):
    """A world with any number of pods. `answers` holds the answer of every connect of the run."""

    VARIABLES: ClassVar[Mapping[str, str]] = {
        "VOICE_AGENT_BOT": LIGHT_BOT,
        "VOICE_AGENT_POOL_SIZE": "4",
        "VOICE_AGENT_MAX_POOL_SIZE": "4",
        "VOICE_AGENT_MAX_PROCESSES": "60",
        "DAILY_ROOM_POOL_SIZE": "8",
        "DAILY_ROOM_MAX_POOL_SIZE": "8",
        "DRAIN_TIMEOUT": "30",
        "CALLER_JOIN_TIMEOUT": "10",
        "AUTOMATIC_SESSION_INACTIVITY_TIMEOUT": "10",
    }
    tables: Tables
    daily: Daily
    fleet: Fleet
    callers: Callers
    _second: Program | None = None

    def __init__(self, foreground: Foreground, environment: dict[str, str], directory: Path) -> None:
        environment["OPENAI_API_KEY"] = f"sk-{secrets.token_urlsafe(24)}"  # of nobody: it is searched for
        super().__init__(foreground, environment, directory)
        self._programs: set[int] = set()

    def begin(self) -> None:
        super().begin()
        self.tables = Tables(self.postgres.url)
        self.daily = Daily(self.sandbox.url, self.sandbox.api_key)
        self.daily.mend(LATENCY_S)
        self.fleet = Fleet(self.environment, self.directory)
        self._programs = children()
        self._callers_by_session: dict[str, str] = {}
        self.callers = Callers(self.line, self.daily)

    def end(self) -> None:
        self.callers.end()
        self.fleet.end()
        self.tables.close()

    @property
    def answers(self) -> list[Answer]:
        return self.callers.answers

    def line(self) -> Line:
        return Line(self._api_address, self._token)

    def gunicorn_pids(self) -> list[int]:
        """Return the pids of the first gunicorn: master and workers."""
        (program,) = (program for program in self._foreground.programs if program.name == "gunicorn")
        return sorted({program.process.pid} | processes.descendants(program.process.pid)) if program.process else []

    def serve_second_api(self, **variables: str) -> tuple[str, int]:
        """Start another gunicorn and return its address. Only from the main thread, while no other thread forks."""
        environment = {**self._environment, "PORT": "0", "WEB_CONCURRENCY": "1", **variables}
        command = [sys.executable, "-m", "gunicorn", "--config", str(ROOT / "gunicorn.conf.py")]
        self._second = self._foreground.start("gunicorn-2", command, environment)
        host, port = self._announced(self._second, r"Listening at: http://([\d.]+):(\d+)")
        return host, int(port)

    def end_second_api(self) -> None:
        if self._second:
            self._end(self._second)
            self._second = None

    # --- one call -----------------------------------------------------------------------------------------

    def connect(self, line: Line, lead: str | None = None, **headers: str) -> Answer:
        """Connect with a new lead, and count the answer. The caller does not join by itself."""
        if lead is None and (lead := line.push()) is None:
            raise DidNotHappen("a lead could not be pushed")
        answer = line.connect(lead, **headers)
        self.answers.append(answer)
        return answer

    def call(self, line: Line) -> Answer:
        """A call in progress: bot and caller are in the room. The caller stays until the room is deleted or
        `hang_up`."""
        answer = self.connect(line)
        until = time.monotonic() + PATIENT_S
        while answer.status == 503 and time.monotonic() < until:  # a pod that is late on a busy machine
            self.pause(0.5)
            answer = self.connect(line, answer.lead)
        if answer.session is None:
            raise DidNotHappen(f"connect: {answer.status} {answer.detail}")
        self.wait_until_in_room(answer)
        caller = self.daily.visit(answer.room, answer.token, None)
        if caller is None:
            raise DidNotHappen("the caller was not let in")
        self._callers_by_session[str(answer.session)] = caller
        return answer

    def hang_up(self, answer: Answer) -> None:
        self.daily.leave(answer.room, self._callers_by_session.pop(str(answer.session)))

    def wait_until_in_room(self, answer: Answer, deadline: float = 20.0) -> None:
        self.wait_for("the bot in its room", lambda: str(answer.session) in self.daily.bots(), deadline)

    def wait_until_over(self, answer: Answer, deadline: float = 30.0) -> None:
        self.wait_for("the end of a session", lambda: self.session(answer).status == "ended", deadline)

    def session(self, answer: Answer) -> Session:
        if answer.session is None:
            raise DidNotHappen(f"connect: {answer.status} {answer.detail}")
        return self.tables.session(answer.session)

    # --- pods ---------------------------------------------------------------------------------------------

    def pods(self, number: int, **variables: str) -> list[Pod]:
        """Start more pods, and wait until all pods are full."""
        pods = [self.fleet.start(**variables) for _ in range(number)]
        self.wait_until_full()
        for pod in pods:
            if not pod.runs:
                raise DidNotHappen(f"{pod.name} ended at its start: {pod.output()[-300:]}")
        return pods

    def wait_until_full(self, deadline: float = 60.0) -> None:
        self.wait_for("full pods", lambda: self.tables.full_pods() == len(self.fleet.running()), deadline, step=0.05)

    def wait_until_level(self, deadline: float = LEVEL_S) -> float:
        """Wait until nothing is in progress and all pods are full. Returns the seconds it took."""
        began = time.monotonic()
        try:
            self.wait_for("a level", self._is_level, deadline, step=0.2)
        except DidNotHappen:
            raise DidNotHappen(f"not level within {deadline:g} s: {self.tables.level_in_words()}") from None
        return time.monotonic() - began

    def _is_level(self) -> bool:
        self.bury_strays()
        return self.tables.is_level(len(self.fleet.running()))

    def bury_strays(self) -> None:
        processes.bury_strays(self._programs | {pod.pid for pod in self.fleet.pods})

    def restore(self) -> None:
        """Reset the world after a scenario: no pods, no faults, a running database, and no ready rooms."""
        self.daily.mend(LATENCY_S)
        for room, people in self.daily.people().items():
            for person in people:
                if not person["owner"]:
                    self.daily.leave(room, str(person["id"]))
        self.fleet.end()
        self.bury_strays()
        if not embedded_postgres.is_running(self.directory / "postgres"):
            self.start_postgres()
        self.tables.rows(RETIRE)

    # --- the database -------------------------------------------------------------------------------------

    def stop_postgres(self) -> None:
        self.tables.close()
        self.postgres.stop()

    def start_postgres(self, settings: Mapping[str, str] | None = None) -> None:
        before = children()
        super().start_postgres(settings)
        self._programs |= children() - before

    # --- the end of the day -------------------------------------------------------------------------------

    def audit(self) -> Audit:
        """Audit, and repeat it for some seconds while something disagrees: processes take time to die."""
        audit = self.audit_once()
        until = time.monotonic() + AUDIT_S
        while not audit.agrees and time.monotonic() < until:
            self.pause(0.5)
            self.bury_strays()
            audit = self.audit_once()
        return audit

    def audit_once(self) -> Audit:
        return audit_inputs.audited(self.tables, self.daily, self.fleet)

    def accounts(self, answers: Sequence[Answer] | None = None) -> accounts.Accounts:
        answers = list(self.answers if answers is None else answers)
        uuids = [answer.session for answer in answers if answer.session]
        said = [(session, agent) for session, agent in self.fleet.said(ACKNOWLEDGED)]
        return accounts.settle(answers, self.tables.sessions(uuids), said, self.daily.counters())


def attempt(condition: Callable[[], bool]) -> bool:
    """Return the condition's value, or False while the database is not available."""
    try:
        return condition()
    except psycopg.Error:
        return False
