"""The domain's rooms: create, read, list, change, delete, expire. State only; the clock is injected.

A room whose `exp` has passed counts as deleted at once (not listed, not found, its name free again) but is
remembered as a *zombie*, since people may still be inside, until it is deleted or collected.
Every room ever created is live, expired or deleted: created == live + expired + deleted, always.
"""

import heapq
import itertools
import json
import re
import secrets
import string
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from devtools.sandbox.clock import Clock
from devtools.sandbox.errors import invalid_request, no_such_room, quoted, shown
from devtools.sandbox.properties import merged

NAME = re.compile(r"[A-Za-z0-9_-]+")
NAME_CHARS = 128
PRIVACY = ("public", "private")
PLAN_ROOMS = 10_000
"""The quota of a domain without `max_api_rooms` of its own. It also bounds the sandbox's memory."""
BATCH_ROOMS = 1000
BATCH_RECORDING_BUCKETS = 10
PAGE_ROOMS = 100
ZOMBIE_SECONDS = 60.0
_NAME_LETTERS = string.ascii_letters + string.digits


@dataclass
class Room:
    name: str
    privacy: str
    config: dict[str, Any]
    created_at: int
    id: str = field(default_factory=lambda: str(uuid.uuid4()))

    @property
    def exp(self) -> float | None:
        return self.config.get("exp")

    def as_json(self, origin: str) -> dict[str, Any]:
        """Return Daily's room object; `origin` ("http://host:port") replaces https://<domain>.daily.co."""
        return {
            "id": self.id,
            "name": self.name,
            "api_created": True,
            "privacy": self.privacy,
            "url": f"{origin}/{self.name}",
            "created_at": datetime.fromtimestamp(self.created_at, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z"),
            "config": self.config,
        }


class RoomStore:
    """All rooms of the domain, and how many were ever created. Refusals are DailyErrors."""

    def __init__(self, clock: Clock, max_api_rooms: int | None = None) -> None:
        self._clock = clock
        self.max_api_rooms = max_api_rooms
        self._live: dict[str, Room] = {}
        self._zombies: dict[str, Room] = {}  # in order of expiry
        self._expiries: list[tuple[float, str]] = []  # a heap of (exp, name); stale entries are skipped
        self.created = self.expired = self.deleted = 0

    # --- reading -------------------------------------------------------------------------------------------

    def get(self, name: str) -> Room:
        self.expire()
        if name not in self._live:
            raise no_such_room(name)
        return self._live[name]

    def find(self, name: str) -> tuple[Room | None, bool]:
        """Return the room of this name and whether it has expired: joining it then fails with another error."""
        self.expire()
        if name in self._live:
            return self._live[name], False
        return self._zombies.get(name), True

    def names(self) -> list[str]:
        """Return the names of live rooms, oldest first."""
        self.expire()
        return list(self._live)

    def page(self, limit: int, starting_after: str | None, ending_before: str | None) -> tuple[int, list[Room]]:
        """How many live rooms there are in all, and one page of them, newest first.

        `starting_after` gives the rooms older than that room id, `ending_before` the newer ones next to it;
        the word OLDEST is the end of the list.
        """
        if starting_after is not None and ending_before is not None:
            raise invalid_request("starting_after and ending_before can not be used together")
        if not 1 <= limit <= PAGE_ROOMS:
            raise invalid_request(f"limit should be a number from 1 to {PAGE_ROOMS}")
        self.expire()
        ordered = sorted(self._live.values(), key=_position, reverse=True)
        if ending_before is not None:
            newer = ordered if ending_before == "OLDEST" else self._beside(ordered, ending_before, newer=True)
            return len(ordered), newer[-limit:]
        older = ordered if starting_after is None else self._beside(ordered, starting_after, newer=False)
        return len(ordered), older[:limit]

    def _beside(self, ordered: list[Room], id: str, *, newer: bool) -> list[Room]:
        """The rooms on one side of a cursor. A room that expired since is one still; a deleted one is refused
        (Daily's answer is unknown: a client has to read all pages before it deletes)."""
        cursor = next((room for room in [*ordered, *self._zombies.values()] if room.id == id), None)
        if cursor is None:
            raise invalid_request(f"no room has the id {quoted(id)}")
        at = _position(cursor)
        return [room for room in ordered if (_position(room) > at if newer else _position(room) < at)]

    # --- creating and changing -----------------------------------------------------------------------------

    def create(self, wanted: object) -> Room:
        return self.create_batch([wanted])[0]

    def create_batch(self, wanted: list[object]) -> list[Room]:
        """Create all of them or, if one is refused, none."""
        self.expire()
        if len(wanted) > BATCH_ROOMS:
            raise invalid_request(f"at most {BATCH_ROOMS} rooms can be created in one batch")
        rooms: dict[str, Room] = {}
        for one in wanted:
            room = self._new_room(one)
            if room.name in rooms or room.name in self._live:
                raise invalid_request(f"a room named {room.name} already exists")
            rooms[room.name] = room
        buckets = {json.dumps(r.config["recordings_bucket"]) for r in rooms.values() if "recordings_bucket" in r.config}
        if len(buckets) > BATCH_RECORDING_BUCKETS:
            raise invalid_request(f"at most {BATCH_RECORDING_BUCKETS} recordings_bucket settings fit in one batch")
        quota = PLAN_ROOMS if self.max_api_rooms is None else self.max_api_rooms
        if len(self._live) + len(rooms) > quota:
            raise invalid_request(f"maximum number of rooms reached ({quota})")
        for room in rooms.values():
            self._zombies.pop(room.name, None)
            self._live[room.name] = room
            self._note_expiry(room)
        self.created += len(rooms)
        return list(rooms.values())

    def _new_room(self, wanted: object) -> Room:
        wanted = _parameters(wanted, ("name", "privacy", "properties"))
        name = wanted.get("name")
        if name is None:
            name = "".join(secrets.choice(_NAME_LETTERS) for _ in range(20))
        elif not isinstance(name, str) or not NAME.fullmatch(name):
            allowed = "room names can contain A-Z, a-z, 0-9, '-', and '_'"
            raise invalid_request(f"{shown(name)} contains invalid characters ({allowed})")
        elif len(name) > NAME_CHARS:
            raise invalid_request(f"room names can have at most {NAME_CHARS} characters")
        return Room(
            name=name,
            privacy=_privacy(wanted.get("privacy")),
            config=merged({}, wanted.get("properties"), self._clock.now()),
            created_at=int(self._clock.now()),
        )

    def update(self, name: str, wanted: object) -> Room:
        """Change `privacy` and `properties`; a property of `null` goes back to its default."""
        room = self.get(name)
        wanted = _parameters(wanted, ("privacy", "properties"))
        privacy = _privacy(wanted.get("privacy", room.privacy))
        room.config = merged(room.config, wanted.get("properties"), self._clock.now())
        room.privacy = privacy
        self._note_expiry(room)
        return room

    # --- deleting and expiring -----------------------------------------------------------------------------

    def delete(self, name: str) -> tuple[Room, bool]:
        """Remove a room; returns it and whether it had expired before, which Daily answers with a 404."""
        self.expire()
        if name in self._live:
            self.deleted += 1
            return self._live.pop(name), False
        if name in self._zombies:
            return self._zombies.pop(name), True
        raise no_such_room(name)

    def delete_batch(self, names: object) -> list[Room]:
        """Remove those that exist. Unknown names are skipped (Daily's answer to them is unknown)."""
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise invalid_request("room_names should be a list of strings")
        if len(names) > BATCH_ROOMS:
            raise invalid_request(f"at most {BATCH_ROOMS} rooms can be deleted in one batch")
        self.expire()
        return [self.delete(name)[0] for name in dict.fromkeys(names) if name in self._live]

    def expire(self) -> None:
        """Turn rooms whose `exp` has passed into zombies."""
        now = self._clock.now()
        while self._expiries and self._expiries[0][0] <= now:
            exp, name = heapq.heappop(self._expiries)
            room = self._live.get(name)
            if room is not None and room.exp == exp:
                self._zombies[name] = self._live.pop(name)
                self.expired += 1

    def collect(self, occupied: set[str]) -> None:
        """Forget zombies that are a minute old, except those whose room id is `occupied`."""
        before = self._clock.now() - ZOMBIE_SECONDS
        old = itertools.takewhile(lambda room: (room.exp or 0) <= before, self._zombies.values())
        for room in [room for room in old if room.id not in occupied]:
            del self._zombies[room.name]

    def counts(self) -> dict[str, int]:
        self.expire()
        return {"created": self.created, "live": len(self._live), "expired": self.expired, "deleted": self.deleted}

    def _note_expiry(self, room: Room) -> None:
        if room.exp is not None:
            heapq.heappush(self._expiries, (room.exp, room.name))


def _position(room: Room) -> tuple[int, str]:
    """Return the position in the order of creation: by second, and by id within a second."""
    return room.created_at, room.id


def _parameters(wanted: object, known: tuple[str, ...]) -> dict[str, Any]:
    if not isinstance(wanted, dict):
        raise invalid_request("a room should be an object")
    for name in wanted:
        if name not in known:
            raise invalid_request(f"unknown parameter {quoted(name)}")
    return wanted


def _privacy(value: object) -> str:
    if value is None:
        return PRIVACY[0]
    if not isinstance(value, str) or value not in PRIVACY:
        raise invalid_request(f"privacy was {quoted(value)} but should be 'public' or 'private'")
    return value
