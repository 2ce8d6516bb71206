"""Why was this start slow? What happened in a session, how long each step took, and why anything was not in stock.

SESSION is the session's id (as `connect` answered it) or the id of its lead.
Exit code 0: told; 1: there is no such session; 3: the database did not answer.
"""

import json
import uuid
from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any

from django.db.models import Q

from pools.models import VoiceSession
from pools.screen import Screen, one_line
from pools.story import Story
from pools.terminal import ExitCode

HELP = "why was this start slow? the timeline of a session, in words"


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("session", type=uuid.UUID, metavar="SESSION", help="id of the session or of its lead")
    parser.add_argument("--json", action="store_true", help="the same for programs")


def run(options: Mapping[str, Any], screen: Screen) -> int:
    wanted: uuid.UUID = options["session"]
    found = VoiceSession.objects.filter(Q(uuid=wanted) | Q(reference=wanted)).order_by("-id").first()
    if found is None:
        screen.note(f"No session {wanted}, and no lead of that id has one.")
        return ExitCode.DEGRADED
    story = Story.read(found.uuid)
    if options["json"]:
        screen.out(json.dumps(story.as_json(), indent=1))
        return ExitCode.FINE
    screen.out(f"Session {found.uuid}: {found.status}{f' ({found.end_reason})' if found.end_reason else ''}")
    for line in story.lines():
        screen.out(one_line(line))
    return ExitCode.FINE
