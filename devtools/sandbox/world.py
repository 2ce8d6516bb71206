"""The whole state of one sandbox, and the operations that touch more than one part of it."""

import uuid
from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from typing import Any

from devtools.sandbox import SANDBOX_API_KEY
from devtools.sandbox.clock import Clock
from devtools.sandbox.errors import JoinRefused
from devtools.sandbox.faults import Faults
from devtools.sandbox.latency import Latency
from devtools.sandbox.limits import LimitSettings, RateLimits
from devtools.sandbox.phones import Phones
from devtools.sandbox.presence import Deliver, Participant, Presence
from devtools.sandbox.properties import MAX_PARTICIPANTS
from devtools.sandbox.recordings import Recordings
from devtools.sandbox.rooms import Room, RoomStore
from devtools.sandbox.tokens import TokenSigner
from devtools.sandbox.webhooks import Webhooks

_DOMAIN_IDS = uuid.UUID("6b1e1c0a-5d3f-4f0e-9c39-3d6b5a1f7b52")


@dataclass(frozen=True)
class SandboxOptions:
    """`latency_ms`: see latency.py. `presence_lag_s`: how old the presence endpoints' answers are, 0 to 15.
    `max_api_rooms`: the domain's room quota, None for the plan's."""

    api_key: str = field(default=SANDBOX_API_KEY, repr=False)
    domain: str = "sandbox"
    latency_ms: float = 0.0
    connect_ms: float | None = None
    presence_lag_s: float = 0.0
    max_api_rooms: int | None = None
    limits_enabled: bool = True


class World:
    """The domain: rooms, tokens, people, limits, faults, counters. One event loop's; no locks."""

    def __init__(self, options: SandboxOptions, clock: Clock | None = None) -> None:
        self.options = options
        self.clock = clock or Clock()
        # Constant for a domain over restarts, as at Daily: clients keep it.
        self.domain_id = str(uuid.uuid5(_DOMAIN_IDS, options.domain))
        self.tokens = TokenSigner(options.api_key, self.domain_id, self.clock)
        self._begin()

    def _begin(self) -> None:
        """Set up the state that `reset` replaces."""
        self.limits = RateLimits(LimitSettings(enabled=self.options.limits_enabled))
        self.rooms = RoomStore(self.clock, self.options.max_api_rooms)
        self.presence = Presence(self.tell)
        self.recordings = Recordings()
        self.webhooks = Webhooks()
        self.phones = Phones(self.presence, self.domain_id, self.tell)
        self.presence_lag_s = self.options.presence_lag_s
        self.latency = Latency(self.options.latency_ms, self.options.connect_ms)
        self.faults = Faults()
        self.calls: defaultdict[str, Counter[str]] = defaultdict(Counter)

    def change_key(self, api_key: str) -> None:
        """Replace the API key, as in Daily's dashboard: the old key and all tokens signed with it become invalid.
        Participants who are in a room stay."""
        self.options = replace(self.options, api_key=api_key)
        self.tokens = TokenSigner(api_key, self.domain_id, self.clock)

    def reset(self) -> None:
        """Eject all participants, forget everything, and restore every setting but the key."""
        self.presence.eject_all("sandbox-reset", self.clock.now())
        self.clock.offset = 0.0
        self._begin()

    # --- people --------------------------------------------------------------------------------------------

    def join(
        self,
        room_name: str,
        token: str | None,
        deliver: Deliver,
        *,
        user_name: str | None = None,
        simulated: bool = False,
        media: bool = False,
        reconnects: bool = False,
        resume: str | None = None,
        stay_s: float | None = None,
    ) -> tuple[Participant, list[Participant]]:
        """Let somebody into a room as Daily would, or raise JoinRefused. Returns them and who else is there.

        `resume`: the id that they had before their connection was lost; unknown, or somebody else's, it is ignored.
        """
        self.tick()
        now = self.clock.now()
        room = self._joinable(room_name)
        claims = self._admitting(room, token)
        user_id = claims.get("ud")
        if self.presence.is_banned(room.id, user_id):
            raise JoinRefused("not-allowed", "this user is banned from the meeting")
        before = self.presence.find(resume) if resume else None
        if before is not None and before.reconnects and (before.room_id, before.user_id) == (room.id, user_id):
            return before, self.presence.resume(before, deliver)
        if user_id is not None and room.config.get("enforce_unique_user_ids"):
            same = [p for p in self.presence.in_room(room.id) if p.user_id == user_id]
            self.presence.eject(same, "duplicate-user-id", now)
        if len(self.presence.in_room(room.id)) >= room.config.get("max_participants", MAX_PARTICIPANTS):
            raise JoinRefused("meeting-full", "the meeting is full")
        eject_at, eject_reason = _ejection(room, claims, now)
        participant = Participant(
            room_id=room.id,
            room_name=room.name,
            user_id=user_id,
            user_name=claims.get("u", user_name),
            owner=claims.get("o") is True,
            joined_at=now,
            deliver=deliver,
            eject_at=eject_at,
            eject_reason=eject_reason,
            leave_at=None if stay_s is None else now + stay_s,
            simulated=simulated,
            media=media,
            reconnects=reconnects,
            token=token if simulated else None,
        )
        others = self.presence.join(participant)
        if claims.get("sr") is True and room.config.get("enable_recording") == "cloud":
            self.recordings.start(room.name, participant, now, self.tell)
        return participant, others

    def _joinable(self, name: str) -> Room:
        room, expired = self.rooms.find(name)
        if room is None:
            raise JoinRefused("no-room", "the room does not exist")
        if expired:
            raise JoinRefused("exp-room", "the room has expired")
        if room.config.get("nbf", 0) > self.clock.now():
            raise JoinRefused("nbf-room", "the room is not open yet")
        return room

    def _admitting(self, room: Room, token: str | None) -> dict[str, Any]:
        """Return the claims of a joining participant. A public room needs no token, but checks one that is given."""
        if token is None:
            if room.privacy == "private":
                raise JoinRefused("not-allowed", "a private room needs a meeting token")
            return {}
        claims = self.tokens.verify(token)
        if claims.get("r", room.name) != room.name:
            raise JoinRefused("not-allowed", "the meeting token is for another room")
        return claims

    def leave(self, id: str, reason: str) -> None:
        self.presence.leave(id, reason, self.clock.now())

    def lose(self, id: str, reason: str) -> None:
        self.presence.lose(id, reason, self.clock.now())

    # --- rooms and people ----------------------------------------------------------------------------------

    def delete_room(self, name: str) -> bool:
        """Delete a room and eject its participants. Returns True if it was live, False if it had expired."""
        room, had_expired = self.rooms.delete(name)
        self._empty(room)
        return not had_expired

    def delete_rooms(self, names: object) -> int:
        deleted = self.rooms.delete_batch(names)
        for room in deleted:
            self._empty(room)
        return len(deleted)

    def _empty(self, room: Room) -> None:
        self.presence.eject(self.presence.in_room(room.id), "room-deleted", self.clock.now())

    # --- time ----------------------------------------------------------------------------------------------

    def tick(self) -> None:
        """Run everything that is due."""
        self.rooms.expire()
        self.presence.end_what_is_due(self.clock.now())
        self.phones.tick(self.clock.now())
        self.rooms.collect(self.presence.occupied_room_ids())

    # --- webhooks ------------------------------------------------------------------------------------------

    def tell(self, type: str, payload: dict[str, Any], id: str) -> None:
        """Pass an event to the webhooks. Its type, payload and id are as at Daily."""
        now = self.clock.now()
        self.webhooks.tell(type, payload, id, now)
        if type == "meeting.ended":
            self.recordings.finish(payload["room"], now, self.tell)

    # --- counting ------------------------------------------------------------------------------------------

    def count(self, route: str, outcome: str) -> None:
        """Count a served call by its status, or by the fault that left it without an answer."""
        self.calls[route][outcome] += 1

    def counters(self) -> dict[str, Any]:
        """Return all counters since the start or the last reset.

        `rate_limited` counts every 429, injected ones too; `refused` of a window those that were over the limit.
        """
        return {
            "calls": {route: dict(outcomes) for route, outcomes in sorted(self.calls.items())},
            "rate_limited": sum(outcomes["429"] for outcomes in self.calls.values()),
            "rooms": self.rooms.counts(),
            "participants": self.presence.counts(),
            "ejected": dict(self.presence.ejected),
            "windows": self.limits.counts(),
            "webhooks": self.webhooks.counts(),
            "phones": self.phones.counts(),
        }


def _ejection(room: Room, claims: dict[str, Any], now: float) -> tuple[float | None, str]:
    """Return when this participant will be ejected, and why.

    A token that sets either of its two properties overrides both of the room's. Whether an explicit
    `eject_at_token_exp: false` counts as set is unknown; here it does not.
    """
    ends: list[tuple[float, str]] = []
    if claims.get("ejt") is True or claims.get("eje") is not None:
        if claims.get("ejt") is True and claims.get("exp") is not None:
            ends.append((claims["exp"], "token-expired"))
        if claims.get("eje") is not None:
            ends.append((now + claims["eje"], "time-elapsed"))
    else:
        if room.config.get("eject_at_room_exp") and room.exp is not None:
            ends.append((room.exp, "room-expired"))
        if room.config.get("eject_after_elapsed") is not None:
            ends.append((now + room.config["eject_after_elapsed"], "time-elapsed"))
    return min(ends, default=(None, ""))
