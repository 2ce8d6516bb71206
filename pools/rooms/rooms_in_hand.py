"""Rooms that a pod is making at Daily, or minting tokens for: one state each, with all its transitions.

TO_ASK -> ASKED -> MADE or REFUSED -> forgotten, once the row says so; after a failed call TO_ASK again
RENEWING -> RENEWED -> forgotten, once the row says so
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, auto

from pools.models import Room, StoredTokens


class Step(Enum):
    TO_ASK = auto()  # the row is written; Daily is to be asked for the room
    ASKED = auto()  # a call is under way
    MADE = auto()  # Daily has the room; the row does not say so yet
    REFUSED = auto()  # Daily does not make it; the row does not say so yet
    RENEWING = auto()  # a room in stock: a call for its tokens is under way
    RENEWED = auto()  # its tokens are minted; the row does not have them yet


@dataclass(eq=False)
class RoomInHand:
    row: Room
    step: Step
    since: float = 0.0  # when its row was written
    url: str = ""
    tokens: StoredTokens | None = None
    problem: str = ""  # why Daily has refused it


class RoomsInHand:
    """Oldest first. Nothing else sets a room's `step`."""

    def __init__(self) -> None:
        self._rooms: dict[int, RoomInHand] = {}  # by the row's primary key

    def at(self, *steps: Step) -> list[RoomInHand]:
        return [room for room in self._rooms.values() if room.step in steps]

    def forget(self, room: RoomInHand) -> None:
        """The row says what there is to say."""
        del self._rooms[room.row.pk]

    # --- rooms that are made ------------------------------------------------------------------------------

    def rows_written(self, rows: Iterable[Room], now: float) -> None:
        self._rooms |= {row.pk: RoomInHand(row, Step.TO_ASK, now) for row in rows}

    def asked(self, room: RoomInHand) -> None:
        self._move(room, Step.TO_ASK, Step.ASKED)

    def made(self, room: RoomInHand, url: str, tokens: StoredTokens | None) -> None:
        self._move(room, Step.ASKED, Step.MADE)
        room.url, room.tokens = url, tokens

    def refused(self, room: RoomInHand, problem: str) -> None:
        self._move(room, Step.ASKED, Step.REFUSED)
        room.problem = problem

    def to_ask_again(self, room: RoomInHand) -> None:
        """The outcome of the call is unknown: Daily is asked again under the same name."""
        self._move(room, Step.ASKED, Step.TO_ASK)

    # --- tokens that are renewed --------------------------------------------------------------------------

    def renewing(self, row: Room) -> RoomInHand:
        room = self._rooms[row.pk] = RoomInHand(row, Step.RENEWING)
        return room

    def renewed(self, room: RoomInHand, tokens: StoredTokens) -> None:
        self._move(room, Step.RENEWING, Step.RENEWED)
        room.tokens = tokens

    @staticmethod
    def _move(room: RoomInHand, before: Step, after: Step) -> None:
        if room.step is not before:
            raise ValueError(f"room {room.row.name} is {room.step.name}, not {before.name}")
        room.step = after
