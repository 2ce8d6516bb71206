"""Who is in which room. State only: time is an argument, and events go to participants through `deliver`.

A meeting begins with the first join of a room and ends with the last leave. When somebody has to go (`eject_at`)
is settled at the join and not changed by later changes of the room, as measured at Daily.
"""

import uuid
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

Deliver = Callable[[dict[str, Any] | None], None]
"""Takes an event for a participant; None means that no more will come. Must not block."""
Tell = Callable[[str, dict[str, Any], str], None]
"""Takes an event for webhooks: its type, its payload and its id. Must not block."""

MAX_LAG_SECONDS = 15.0
REMEMBERED_LEAVERS = 20_000
RECONNECT_SECONDS = 10.0
"""How long somebody whose page has gone away (reloaded, perhaps) still counts as present."""


@dataclass(eq=False)
class Participant:
    """One connection to a room, or a caller that the sandbox simulates.

    `eject_at` and `leave_at` are Unix seconds or None: when they are thrown out, or go by themselves. `media`: they
    speak WebRTC with each other, by way of messages that we pass on; `unheard` is the last one that came before
    anybody was there to take it. `reconnects`: they may come back after a lost connection, until `away_until`.
    """

    room_id: str
    room_name: str
    user_id: str | None
    user_name: str | None
    owner: bool
    joined_at: float
    deliver: Deliver = field(repr=False)
    eject_at: float | None = None
    eject_reason: str = ""
    leave_at: float | None = None
    simulated: bool = False
    media: bool = False
    reconnects: bool = False
    away_until: float | None = None
    unheard: dict[str, Any] | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    meeting_id: str = ""
    left_at: float | None = None

    def as_event(self) -> dict[str, Any]:
        event = {"id": self.id, "user_id": self.user_id, "user_name": self.user_name, "owner": self.owner}
        return {**event, "media": True} if self.media else event

    def as_presence(self, now: float) -> dict[str, Any]:
        """Return the object of Daily's presence endpoints."""
        joined = datetime.fromtimestamp(self.joined_at, UTC).isoformat(timespec="milliseconds")
        return {
            "room": self.room_name,
            "id": self.id,
            "userId": self.user_id,
            "userName": self.user_name,
            "mtgSessionId": self.meeting_id,
            "joinTime": joined.replace("+00:00", "Z"),
            "duration": max(0, int(now - self.joined_at)),
        }

    def as_webhook(self) -> dict[str, Any]:
        """Return the payload of Daily's `participant.*` webhooks, with the duration for a participant who left."""
        payload = {
            "room": self.room_name,
            "user_id": self.user_id or self.id,
            "user_name": self.user_name,
            "session_id": self.id,
            "joined_at": self.joined_at,
            "will_eject_at": self.eject_at,
            "owner": self.owner,
            "networkQualityState": "unknown",
            "permissions": {"hasPresence": True, "canSend": True, "canReceive": {"base": True}, "canAdmin": self.owner},
        }
        return payload if self.left_at is None else payload | {"duration": max(0.0, self.left_at - self.joined_at)}


@dataclass
class Meeting:
    room_name: str
    began_at: float
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    participants: dict[str, Participant] = field(default_factory=dict)
    banned_user_ids: set[str] = field(default_factory=set)


class Presence:
    """All meetings by room id. A room that is deleted and created again has a new id."""

    def __init__(self, tell: Tell) -> None:
        self._tell_webhooks = tell
        self._meetings: dict[str, Meeting] = {}
        self._participants: dict[str, Participant] = {}
        self._leavers: deque[Participant] = deque(maxlen=REMEMBERED_LEAVERS)
        self.joined = self.left = self.peak = 0
        self.ejected: Counter[str] = Counter()  # by reason

    # --- reading -------------------------------------------------------------------------------------------

    def find(self, id: str) -> Participant | None:
        return self._participants.get(id)

    def in_room(self, room_id: str) -> list[Participant]:
        meeting = self._meetings.get(room_id)
        return list(meeting.participants.values()) if meeting else []

    def everybody(self) -> list[Participant]:
        return list(self._participants.values())

    def is_banned(self, room_id: str, user_id: str | None) -> bool:
        meeting = self._meetings.get(room_id)
        return meeting is not None and user_id in meeting.banned_user_ids

    def occupied_room_ids(self) -> set[str]:
        return set(self._meetings)

    def seen(self, now: float, lag: float) -> list[Participant]:
        """Return who was there `lag` seconds ago, as the presence endpoints show it."""
        then = now - lag
        gone = [p for p in self._leavers if p.left_at is not None and p.left_at > then] if lag else []
        return [p for p in (*gone, *self._participants.values()) if not lag or p.joined_at <= then]

    def counts(self) -> dict[str, int]:
        return {"joined": self.joined, "left": self.left, "present": len(self._participants), "peak": self.peak}

    # --- joining and leaving -------------------------------------------------------------------------------

    def join(self, participant: Participant) -> list[Participant]:
        """Add a participant and notify the others. Returns the others."""
        meeting = self._meetings.get(participant.room_id)
        if meeting is None:
            meeting = self._meetings[participant.room_id] = Meeting(participant.room_name, participant.joined_at)
            self._tell_of_meeting("started", meeting, {"start_ts": meeting.began_at})
        participant.meeting_id = meeting.id
        others = list(meeting.participants.values())
        meeting.participants[participant.id] = participant
        self._participants[participant.id] = participant
        self.joined += 1
        self.peak = max(self.peak, len(self._participants))
        _tell(others, {"event": "participant-joined", "participant": participant.as_event()})
        self._tell_of_participant("joined", participant, participant.joined_at)
        if participant.owner and participant.media:
            for other in others:
                if other.unheard is not None:
                    participant.deliver(_message(other, other.unheard))
                    other.unheard = None
        return others

    def pass_on(self, sender: Participant, to: str | None, data: dict[str, Any]) -> None:
        """Pass a message to another participant of the room, or to the bot, which may join later."""
        there = self._meetings[sender.room_id].participants
        receiver = there.get(to) if to else next((p for p in there.values() if p.owner and p.media), None)
        if receiver is not None:
            receiver.deliver(_message(sender, data))
        elif to is None:
            sender.unheard = data

    def lose(self, id: str, reason: str, now: float) -> None:
        """Handle a lost connection: participants that may reconnect are away, all others have left."""
        participant = self._participants.get(id)
        if participant is None:
            return
        if not participant.reconnects:
            self.leave(id, reason, now)
            return
        participant.deliver = _to_nobody
        participant.away_until = now + RECONNECT_SECONDS

    def resume(self, participant: Participant, deliver: Deliver) -> list[Participant]:
        """Reconnect a participant and close the earlier connection. Returns the others."""
        participant.deliver({"event": "ejected", "reason": "resumed-elsewhere"})
        participant.deliver(None)
        participant.deliver, participant.away_until = deliver, None
        return [p for p in self._meetings[participant.room_id].participants.values() if p is not participant]

    def leave(self, id: str, reason: str, now: float) -> None:
        """Remove a participant. Does nothing if they have left already."""
        participant = self._participants.pop(id, None)
        if participant is None:
            return
        meeting = self._meetings[participant.room_id]
        del meeting.participants[id]
        if not meeting.participants:
            del self._meetings[participant.room_id]
        participant.left_at = now
        self._leavers.append(participant)
        self.left += 1
        participant.deliver(None)
        left = {"event": "participant-left", "participant": participant.as_event(), "reason": reason}
        _tell(meeting.participants.values(), left)
        self._tell_of_participant("left", participant, now)
        if not meeting.participants:
            self._tell_of_meeting("ended", meeting, {"start_ts": meeting.began_at, "end_ts": now})

    def eject(self, participants: Iterable[Participant], reason: str, now: float) -> None:
        for participant in list(participants):
            self.ejected[reason] += 1
            participant.deliver({"event": "ejected", "reason": reason})
            self.leave(participant.id, reason, now)

    def eject_all(self, reason: str, now: float) -> None:
        self.eject(self._participants.values(), reason, now)

    def tell_owners(self, room_id: str, event: dict[str, Any]) -> None:
        """Notify the owners in a room only: of the phones that it dials."""
        _tell([p for p in self.in_room(room_id) if p.owner], event)

    def ban(self, room_id: str, user_ids: Iterable[str]) -> None:
        """Keep these users out of the room's current meeting until it ends."""
        self._meetings[room_id].banned_user_ids.update(user_ids)

    # --- webhooks ------------------------------------------------------------------------------------------

    def _tell_of_participant(self, what: str, participant: Participant, now: float) -> None:
        payload = participant.as_webhook()
        verb = {"joined": "join", "left": "left"}[what]
        self._tell_webhooks(f"participant.{what}", payload, f"ptcpt-{verb}-{payload['user_id']}-{int(now * 1000)}")

    def _tell_of_meeting(self, what: str, meeting: Meeting, times: dict[str, float]) -> None:
        payload = {**times, "meeting_id": meeting.id, "room": meeting.room_name}
        verb = {"started": "sta", "ended": "end"}[what]
        self._tell_webhooks(f"meeting.{what}", payload, f"met-{verb}-{meeting.id}-{int(max(times.values()))}")

    # --- time ----------------------------------------------------------------------------------------------

    def end_what_is_due(self, now: float) -> None:
        for participant in list(self._participants.values()):
            if participant.eject_at is not None and participant.eject_at <= now:
                self.eject([participant], participant.eject_reason, now)
            elif participant.leave_at is not None and participant.leave_at <= now:
                self.leave(participant.id, "left", now)
            elif participant.away_until is not None and participant.away_until <= now:
                self.leave(participant.id, "connection-lost", now)
        while self._leavers and (self._leavers[0].left_at or 0) < now - MAX_LAG_SECONDS:
            self._leavers.popleft()


def _message(sender: Participant, data: dict[str, Any]) -> dict[str, Any]:
    return {"event": "message", "from": sender.id, "data": data}


def _to_nobody(event: dict[str, Any] | None) -> None:
    """Drop the event: the participant is away and gets the list of participants on return."""


def _tell(participants: Iterable[Participant], event: dict[str, Any]) -> None:
    for participant in list(participants):
        participant.deliver(event)
