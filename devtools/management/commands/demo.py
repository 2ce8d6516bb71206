"""manage.py demo: makes one call through the running service and prints the time of each step (`make demo`)."""

import time
import uuid
from argparse import ArgumentTypeError
from collections.abc import Callable
from datetime import datetime
from operator import itemgetter
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from devtools.dev_service import DevService, NoService, Refused

API = "/agent/voice/breeze-buddy"
ENDS_WITHIN = 60.0  # seconds after the caller has left
TIMELINE = {
    "claimed_at": "room and agent process claimed",
    "assigned_at": "handed to the agent process",
    "acknowledged_at": "agent process has acknowledged",
    "bot_joined_at": "bot has joined the room",
    "caller_joined_at": "caller has joined the room",
    "first_audio_at": "bot's first audio",
    "ended_at": "session ended",
}


def call_length(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1
    if not 0.5 <= seconds <= 600:
        raise ArgumentTypeError(f"{text!r} is not a number of seconds from 0.5 to 600")
    return seconds


class Command(BaseCommand):
    help = (
        "Push a lead to the service that `make run` started, connect, let a simulated caller into the sandbox's room, "
        "and show what happened with the milliseconds of each step."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--seconds", type=call_length, default=3.0, help="how long the caller stays (default %(default)g)"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            service = DevService.read(settings.DATA_DIR / "dev.json")
            self._call(service, options["seconds"])
        except (NoService, Refused) as exc:
            raise CommandError(str(exc)) from None

    def _call(self, service: DevService, stay: float) -> None:
        self.stdout.write(f"One call through {service.url}\n")
        service.get("/health")  # opens the connection: what follows measures the service
        lead = self._timed("push a lead", lambda: service.post(f"{API}/leads", new_lead()))
        lead_id = lead["lead_call_tracker_id"]
        session = self._timed("connect", lambda: service.post(f"{API}/connect", {"lead_id": lead_id}))
        self.stdout.write(f"{'':12}session {session['session_id']} in {session['room_url']}")
        if not service.sandbox_url:
            self.stdout.write("\nDaily is real (DAILY_API_KEY is set): open the room with the caller's token to join.")
            self._print_timeline(service.get(f"{API}/leads/{lead_id}"))
            return
        room = session["room_url"].rsplit("/", 1)[-1]
        caller = {"token": session["token"], "stay_s": stay}
        self._timed(
            f"a caller joins for {stay:g} s",
            lambda: service.post_to_sandbox(f"/sandbox/rooms/{room}/participants", caller),
        )
        final = self._timed("the call, to its end", lambda: wait_until_finished(service, lead_id, stay + ENDS_WITHIN))
        self._print_timeline(final)

    def _timed(self, what: str, step: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        began = time.perf_counter()
        result = step()
        self.stdout.write(f"{(time.perf_counter() - began) * 1000:8.1f} ms {what}")
        return result

    def _print_timeline(self, lead: dict[str, Any]) -> None:
        """Print the times that the service recorded for the session, counted from the claim."""
        session = lead["session"] or {}
        claimed = session.get("claimed_at")
        if claimed:
            reason = f" ({session['start_reason']})" if session["start_reason"] else ""
            self.stdout.write(f"\nThe session: {session['start_kind']} start{reason}\n")
            begin = datetime.fromisoformat(claimed)
            steps = [(session[name], text) for name, text in TIMELINE.items() if session.get(name)]
            for at, text in sorted(steps, key=itemgetter(0)):
                after = (datetime.fromisoformat(at) - begin).total_seconds() * 1000
                self.stdout.write(f"{after:8.1f} ms {text}")
            if session["end_reason"]:
                self.stdout.write(f"{'':12}reason: {session['end_reason']}")
        self.stdout.write(
            f"\nThe lead is {lead['status']}" + (f", outcome {lead['outcome']}" if lead["outcome"] else "")
        )


def new_lead() -> dict[str, Any]:
    return {
        "request_id": f"demo-{uuid.uuid4().hex[:8]}",
        "template": "demo",
        "reseller_id": "demo",
        "merchant_id": "demo",
        "execution_mode": "DAILY",
        "payload": {"customer_name": "Asha"},
    }


def wait_until_finished(service: DevService, lead_id: str, deadline: float) -> dict[str, Any]:
    """Poll the lead until it is FINISHED. Raises Refused if that takes more than `deadline` seconds."""
    until = time.monotonic() + deadline
    while True:
        lead = service.get(f"{API}/leads/{lead_id}")
        if lead["status"] == "FINISHED":
            return lead
        if time.monotonic() > until:
            raise Refused(f"the lead is still {lead['status']} after {deadline:g} s: see .data/logs/runpools.log")
        time.sleep(0.05)
