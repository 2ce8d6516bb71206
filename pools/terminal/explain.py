"""The verb `explain`: the timeline of one session, in words."""

import json
import uuid
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Mapping
from typing import Any

from common.id_search import id_range
from pools.models import VoiceSession
from pools.sessions.history import SessionHistory
from pools.terminal.screen import ExitCode, Screen, Verb, one_line

LISTED = 10


class Explain(Verb):
    """Explain a session: what happened, how long each step took, and why a room or process was not ready.

    SESSION is the id of the session (as `connect` returned it) or of its lead (then its latest session is shown). The
    first characters are enough, as lists show them.
    Exit code 0: success; 1: no such session, or several match; 3: the database did not answer.
    """

    help = "explain why a start was slow: the timeline of a session"

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "session",
            type=beginning,
            metavar="SESSION",
            help="id of the session or of its lead, or its first characters",
        )
        parser.add_argument("--json", action="store_true", help="print a JSON object")

    def run(self, options: Mapping[str, Any], screen: Screen) -> int:
        wanted = options["session"]
        found = sessions_of(wanted)
        if len(found) != 1:
            screen.note(several(wanted, found) if found else none_of(wanted))
            return ExitCode.DEGRADED
        history = SessionHistory.read(found[0])
        if options["json"]:
            screen.out(json.dumps(history.as_json(), indent=1))
            return ExitCode.FINE
        session = history.session
        screen.out(
            f"Session {session.uuid}: {session.status}{f' ({session.end_reason})' if session.end_reason else ''}"
        )
        for line in history.lines():
            screen.out(one_line(line))
        return ExitCode.FINE


def beginning(text: str) -> str:
    if id_range(text) is None:
        raise ArgumentTypeError(
            f"{text[:60]!r} is no id and no beginning of one: 4 to 32 digits 0-9a-f, such as 3f6f4769"
        )
    return text


def sessions_of(wanted: str) -> list[uuid.UUID]:
    """Sessions whose id begins with `wanted`, and the latest session of each lead whose id does. Uses both indexes."""
    between = id_range(wanted)
    own = VoiceSession.objects.filter(uuid__range=between).order_by("-id")
    of_leads = VoiceSession.objects.filter(reference__range=between).order_by("reference", "-id").distinct("reference")
    return [found for rows in (own, of_leads) for found in rows.values_list("uuid", flat=True)[:LISTED]]


def several(wanted: str, found: list[uuid.UUID]) -> str:
    return f"Several sessions begin with {wanted}, or their leads do: {', '.join(map(str, found[:LISTED]))}. Which one?"


def none_of(wanted: str) -> str:
    return (
        f"No session {wanted}, and no lead of that id has one. A lead has a session from its first connect on: "
        "one that is in BACKLOG has never connected, or its start was taken back."
    )
