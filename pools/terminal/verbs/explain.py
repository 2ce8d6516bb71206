"""Why was this start slow? What happened in a session, how long each step took, and why anything was not in stock.

SESSION is the session's id (as `connect` answered it) or the id of its lead (then its latest session is told); its
beginning is enough, as lists show it.
Exit code 0: told; 1: there is no such session, or several begin so; 3: the database did not answer.
"""

import json
import uuid
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Mapping
from typing import Any

from common.id_search import id_range
from pools.models import VoiceSession
from pools.sessions.story import Story
from pools.terminal.screen import Screen, one_line
from pools.terminal.verbs import ExitCode

HELP = "why was this start slow? the timeline of a session, in words"
LISTED = 10


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "session", type=beginning, metavar="SESSION", help="id of the session or of its lead, or how it begins"
    )
    parser.add_argument("--json", action="store_true", help="the same for programs")


def beginning(text: str) -> str:
    if id_range(text) is None:
        raise ArgumentTypeError(
            f"{text[:60]!r} is no id and no beginning of one: 4 to 32 digits 0-9a-f, such as 3f6f4769"
        )
    return text


def run(options: Mapping[str, Any], screen: Screen) -> int:
    wanted = options["session"]
    found = sessions_of(wanted)
    if len(found) != 1:
        screen.note(several(wanted, found) if found else none_of(wanted))
        return ExitCode.DEGRADED
    story = Story.read(found[0])
    if options["json"]:
        screen.out(json.dumps(story.as_json(), indent=1))
        return ExitCode.FINE
    session = story.session
    screen.out(f"Session {session.uuid}: {session.status}{f' ({session.end_reason})' if session.end_reason else ''}")
    for line in story.lines():
        screen.out(one_line(line))
    return ExitCode.FINE


def sessions_of(wanted: str) -> list[uuid.UUID]:
    """Those whose own id begins so, and the latest of each lead whose id does. Each by its index."""
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
