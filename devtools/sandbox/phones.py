"""Phones that rooms dial out to. A script says what a phone does. State only: time is an argument.

    dialled -> connected (it rings; the phone is a participant) -> answered -> hung up
           \\-> error (busy, no answer, failed), or stopped by us

A dial's events reach the owners in the room and, as `dialout.*`, the webhooks. Daily documents the events but not the
words of an error: here they are those of SIP. A phone that is left alone in its room hangs up (Daily's default,
`max_idle_timeout_sec` 0).
"""

import uuid
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any

from devtools.sandbox.errors import DailyError, invalid_request, quoted, shown
from devtools.sandbox.presence import Participant, Presence, Tell
from devtools.sandbox.properties import is_number
from devtools.sandbox.rooms import Room
from pools.phone import is_phone_number

MAX_SECONDS = 3600.0
MAX_SCRIPTS = 100_000
REMEMBERED_DIALS = 20_000
USER_ID_CHARS = 36
ERRORS = {  # what a phone that is not answered does -> the error, or None: the ringing just stops
    "busy": "486 Busy Here",
    "no_answer": "480 Temporarily Unavailable (no answer)",
    "rings_out": None,
    "fail": "404 Not Found",
    "unreachable": "503 Service Unavailable",
}
BEHAVIOURS = ("answer", *ERRORS)


@dataclass(frozen=True)
class Script:
    """What a phone does after `after_s` seconds. One that answers hangs up `talk_s` seconds later, or never (None)."""

    behaviour: str = "answer"
    after_s: float = 1.0
    talk_s: float | None = 10.0

    @classmethod
    def from_json(cls, wanted: dict[str, Any]) -> "Script":
        unknown = set(wanted) - {"behaviour", "after_s", "talk_s"}
        if unknown:
            raise invalid_request(f"unknown parameter {quoted(min(unknown))}")
        script = cls(**wanted)
        if script.behaviour not in BEHAVIOURS:
            raise invalid_request(
                f"behaviour was {quoted(script.behaviour)} but should be one of {', '.join(BEHAVIOURS)}"
            )
        for name, value in (("after_s", script.after_s), ("talk_s", script.talk_s)):
            optional = name == "talk_s" and value is None
            if not optional and not (is_number(value) and 0 <= value <= MAX_SECONDS):
                raise invalid_request(f"{name} was {quoted(value)} but should be a number from 0 to {MAX_SECONDS:g}")
        return script

    @property
    def rings(self) -> bool:
        """Whether the phone rings before the dial ends."""
        return self.behaviour in ("answer", "no_answer", "rings_out")


@dataclass(eq=False)
class Dial:
    """One call to one phone. `events`: its events so far, in order."""

    room: Room
    destination: str
    script: Script
    dialled_at: float
    caller_id: str | None
    phone: Participant
    events: list[str] = field(default_factory=list)
    over: bool = False

    @property
    def id(self) -> str:
        return self.phone.id

    def as_json(self) -> dict[str, Any]:
        return {
            "sessionId": self.id,
            "room": self.room.name,
            "destination": self.destination,
            "userId": self.phone.user_id,
            "dialled_at": self.dialled_at,
            "events": self.events,
            "over": self.over,
        }


class Phones:
    """All phones that can be dialled, and all dials so far."""

    def __init__(self, presence: Presence, domain_id: str, tell: Tell) -> None:
        self._presence = presence
        self._domain_id = domain_id
        self._tell = tell
        self.usual = Script()
        self.scripts: dict[str, Script] = {}
        self._current: dict[str, Dial] = {}
        self._past: deque[Dial] = deque(maxlen=REMEMBERED_DIALS)
        self.dialled: Counter[str] = Counter()  # by destination
        self.told: Counter[str] = Counter()  # by event

    # --- reading -------------------------------------------------------------------------------------------

    def all(self) -> list[Dial]:
        """Return every dial that is kept, oldest first."""
        return sorted([*self._past, *self._current.values()], key=lambda dial: dial.dialled_at)

    def counts(self) -> dict[str, Any]:
        """Return counters; `twice` counts destinations that were dialled more than once."""
        return {
            "dialled": self.dialled.total(),
            "current": len(self._current),
            "twice": sum(times > 1 for times in self.dialled.values()),
            "events": dict(self.told),
        }

    # --- dialling ------------------------------------------------------------------------------------------

    def set_script(self, destination: str | None, script: Script) -> None:
        """Set the script of one phone, or of all phones without their own."""
        if destination is None:
            self.usual = script
        elif len(self.scripts) >= MAX_SCRIPTS and destination not in self.scripts:
            raise invalid_request(f"there are {MAX_SCRIPTS} scripts already")
        else:
            self.scripts[destination] = script

    def start(self, room: Room, wanted: dict[str, Any], now: float) -> Dial:
        """Dial out of a room with at least one participant. Raises DailyError."""
        destination = _destination(wanted)
        user_id, name = _text(wanted, "userId", USER_ID_CHARS), _text(wanted, "displayName", 256)
        caller_id = _text(wanted, "callerId", 128)
        if not room.config.get("enable_dialout"):
            raise invalid_request("dial-out is not enabled for this room (enable_dialout)")
        if not self._presence.in_room(room.id):
            raise DailyError(404, "not-found", "Room is not hosting a call")
        phone = Participant(
            room_id=room.id,
            room_name=room.name,
            user_id=user_id,
            user_name=name or "Phone",
            owner=False,
            joined_at=now,
            deliver=lambda event: None,
            eject_at=room.exp if room.config.get("eject_at_room_exp") else None,
            eject_reason="room-expired",
        )
        script = self.scripts.get(destination, self.usual)
        dial = self._current[phone.id] = Dial(room, destination, script, now, caller_id, phone)
        self.dialled[destination] += 1
        return dial

    def stop(self, room: Room, id: str, now: float) -> None:
        """Hang up the dial."""
        dial = self._current.get(id)
        if dial is None or dial.room.id != room.id:
            raise DailyError(404, "not-found", "No session running")
        self._end(dial, now)

    # --- time ----------------------------------------------------------------------------------------------

    def tick(self, now: float) -> None:
        for dial in list(self._current.values()):
            self._advance(dial, now)

    def _advance(self, dial: Dial, now: float) -> None:
        in_room = self._presence.find(dial.id) is not None
        if "connected" in dial.events and not in_room:  # put out, or the room is gone
            self._end(dial, now)
        elif not any(p.id != dial.id for p in self._presence.in_room(dial.room.id)):
            self._end(dial, now)  # alone
        elif not dial.events and dial.script.rings:
            dial.phone.joined_at = now
            self._presence.join(dial.phone)
            self._happen(dial, "connected", now)
        elif "answered" in dial.events:
            talked = now - dial.dialled_at - dial.script.after_s
            if dial.script.talk_s is not None and talked >= dial.script.talk_s:
                self._end(dial, now)
        elif now - dial.dialled_at >= dial.script.after_s:
            self._decide(dial, now)

    def _decide(self, dial: Dial, now: float) -> None:
        if dial.script.behaviour == "answer":
            self._happen(dial, "answered", now)
        else:
            self._end(dial, now, error=ERRORS[dial.script.behaviour])

    def _end(self, dial: Dial, now: float, error: str | None = None) -> None:
        """End a dial. An error is its last event."""
        dial.over = True
        self._past.append(self._current.pop(dial.id))
        self._happen(dial, "stopped" if error is None else "error", now, error)
        self._presence.leave(dial.id, "left", now)

    def _happen(self, dial: Dial, what: str, now: float, error: str | None = None) -> None:
        dial.events.append(what)
        self.told[what] += 1
        event = {"event": f"dialout-{what}", "sessionId": dial.id, "userId": dial.phone.user_id}
        self._presence.tell_owners(dial.room.id, event if error is None else event | {"errorMsg": error})
        payload = {
            "domain_id": self._domain_id,
            "room": dial.room.name,
            "timestamp": int(now),
            "session_id": dial.id,
            "destination": dial.destination,
            "caller_id": dial.caller_id,
            **({"user_id": dial.phone.user_id} if dial.phone.user_id else {}),
            **({"error_msg": error} if error is not None else {}),
        }
        self._tell(f"dialout.{what}", payload, f"{uuid.uuid4().hex[:4]}-dial-out-{what[:3]}-{dial.id}")


def _destination(wanted: dict[str, Any]) -> str:
    number, uri = wanted.get("phoneNumber"), wanted.get("sipUri")
    if (number is None) == (uri is None):
        raise invalid_request("exactly one of phoneNumber and sipUri should be given")
    if number is not None:
        if not is_phone_number(number):
            raise invalid_request(f"phoneNumber was {quoted(number)} but should be in E.164 form")
        return number
    if not isinstance(uri, str) or not uri.startswith(("sip:", "sips:")) or len(uri) > 1024:
        raise invalid_request(f"sipUri was {quoted(uri)} but should begin with sip:")
    return uri


def _text(wanted: dict[str, Any], name: str, longest: int) -> str | None:
    value = wanted.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or len(value) > longest:
        raise invalid_request(f"{name} was '{shown(value)[:40]}' but should be a string of at most {longest}")
    return value
