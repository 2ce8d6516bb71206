"""Simulated callers over HTTP: they push a lead, connect, join the room, stay and leave. All answers are kept."""

import http.client
import itertools
import json
import queue
import random
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import requests

from trials.chaos.daily import Daily
from trials.client import PREFIX

TIMEOUT_S = 20.0
PHONE = "+919876543210"
_number = itertools.count(1)


@dataclass(frozen=True)
class Answer:
    """The answer to one connect. `sent`: Unix seconds; `status` 0: no answer (`detail` says why)."""

    lead: str
    status: int
    sent: float
    seconds: float
    detail: str = ""
    retry_after: str | None = None
    session: uuid.UUID | None = None
    room: str = ""
    token: str = field(default="", repr=False)


class Line:
    """One caller's connection to the API. Not thread-safe."""

    def __init__(self, address: tuple[str, int], token: str) -> None:
        self._http = http.client.HTTPConnection(*address, timeout=TIMEOUT_S)
        self._headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}

    def request(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any, str | None]:
        """Return status, decoded body and Retry-After. Raises OSError and HTTPException; the next call reconnects."""
        encoded = None if body is None else json.dumps(body).encode()
        try:
            self._http.request(method, path, encoded, self._headers | headers)
            answer = self._http.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException):
            self._http.close()
            raise
        return answer.status, json.loads(text), answer.headers.get("Retry-After")

    def push(self) -> str | None:
        """Push a lead and return its id, or None if it was refused or not answered."""
        lead = {
            "request_id": f"chaos-{next(_number)}",
            "template": "demo",
            "reseller_id": "demo",
            "merchant_id": "demo",
            "execution_mode": "DAILY",
            "payload": {"customer_name": "Asha", "customer_mobile_number": PHONE},
        }
        try:
            status, answer, _ = self.request("POST", f"{PREFIX}/leads", lead)
        except (OSError, http.client.HTTPException):
            return None
        return str(answer["lead_call_tracker_id"]) if status == 201 else None

    def connect(self, lead: str, **headers: str) -> Answer:
        sent, began = time.time(), time.monotonic()
        try:
            status, body, retry_after = self.request("POST", f"{PREFIX}/connect", {"lead_id": lead}, **headers)
        except (OSError, http.client.HTTPException) as error:
            return Answer(lead, 0, sent, time.monotonic() - began, detail=type(error).__name__)
        seconds = time.monotonic() - began
        if status != 200:
            return Answer(lead, status, sent, seconds, str(body.get("detail")), retry_after)
        room = body["room_url"].rpartition("/")[2]
        session = uuid.UUID(body["session_id"])
        return Answer(lead, 200, sent, seconds, session=session, room=room, token=body["token"])

    def lead_status(self, lead: str) -> str:
        return str(self.request("GET", f"{PREFIX}/leads/{lead}")[1]["status"])

    def close(self) -> None:
        self._http.close()


class Callers:
    """Callers who arrive at random moments, run by threads. `answers` are all answers, in no order."""

    def __init__(self, line: Callable[[], Line], daily: Daily, threads: int = 16) -> None:
        self._line = line
        self._daily = daily
        self.answers: list[Answer] = []
        self.unpushed = 0  # leads that could not be pushed: nothing was asked of the pools
        self._leads: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._due: queue.Queue[float | None] = queue.Queue()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._serve, daemon=True) for _ in range(threads)]
        for thread in self._threads:
            thread.start()
        self._arrivals: threading.Thread | None = None

    def stock_leads(self, number: int) -> None:
        """Push leads for the next callers, who can then connect even if no lead can be pushed."""
        line = self._line()
        for _ in range(number):
            if lead := line.push():
                self._leads.put(lead)
        line.close()

    def arrive(self, rate: float, stay: tuple[float, float], bursts: float = 0.0) -> None:
        """So many a second (Poisson), each staying between so many seconds; `bursts`: chance of an arrival to be of
        five to ten at once."""
        self.pause()
        self._stop.clear()
        self._arrivals = threading.Thread(target=self._arrive, args=(rate, stay, bursts), daemon=True)
        self._arrivals.start()

    def pause(self) -> None:
        """Stop arrivals, and wait until all callers have their answers."""
        self._stop.set()
        if self._arrivals:
            self._arrivals.join()
            self._arrivals = None
        self._due.join()

    def end(self) -> None:
        self._stop.set()
        for _ in self._threads:
            self._due.put(None)

    def _arrive(self, rate: float, stay: tuple[float, float], bursts: float) -> None:
        chance = random.Random()  # noqa: S311 (the moments, not a secret)
        while not self._stop.wait(chance.expovariate(rate)):
            for _ in range(chance.randint(5, 10) if chance.random() < bursts else 1):
                self._due.put(chance.uniform(*stay))

    def _serve(self) -> None:
        line = self._line()
        while (stay := self._due.get()) is not None:
            try:
                self.call(line, stay)
            finally:
                self._due.task_done()
        line.close()

    def call(self, line: Line, stay_s: float) -> Answer | None:
        """Take one caller from push to room, on the calling thread. Returns None if the lead could not be pushed."""
        lead = self._lead() or line.push()
        if lead is None:
            self.unpushed += 1
            return None
        answer = line.connect(lead)
        self.answers.append(answer)
        if answer.session:
            self.visit(answer, stay_s)
        return answer

    def _lead(self) -> str | None:
        try:
            return self._leads.get_nowait()
        except queue.Empty:
            return None

    def visit(self, answer: Answer, stay_s: float | None) -> str | None:
        try:
            return self._daily.visit(answer.room, answer.token, stay_s)
        except requests.RequestException:  # the sandbox is busy: the session ends as one to which nobody came
            return None
