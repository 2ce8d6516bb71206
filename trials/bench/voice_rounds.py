"""Makes one spoken call, from the press of the button to the first word heard: the unit of `make bench-voice`."""

import asyncio
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass

from trials.bench.voice_caller import CallRefused, VoiceCaller
from trials.client import Api, Connected
from trials.rows import Start
from trials.world import DidNotHappen, World

STEPS = ("connect", "joined", "offered", "answered", "connected", "spoke", "heard")
SEEN_BY_THE_CALLER = tuple(step for step in STEPS if step != "spoke")
Connect = Callable[[], Connected]


@dataclass(frozen=True)
class SpokenCall:
    """`at`: when each step was done, seconds from the press; "spoke", that the bot sent a first sound, by the session's
    row. `answer_took`: what the bot needed to answer the offer, once it saw to it."""

    at: dict[str, float]
    start: Start
    answer_took: float

    @property
    def first_word(self) -> float:
        return self.at["heard"]

    @property
    def ours(self) -> float:
        """Outside of WebRTC: the connect, what the offer waited for the bot (relay there and back included), and what
        the bot needed to speak once it could be heard."""
        waited = self.at["answered"] - self.at["offered"] - self.answer_took
        return self.at["connect"] + waited + max(0.0, self.at["spoke"] - self.at["connected"])


async def press(connect: Connect) -> tuple[Connected, dict[str, float]]:
    """Press the button, hear the first word, hang up. The client prepares its offer while it waits for the answer."""
    clock = time.monotonic()
    wall = time.time() - clock
    caller = VoiceCaller()
    async with caller:
        caller.prepare()
        connected = await asyncio.to_thread(connect)
        times = {"connect": time.monotonic()}
        await caller.join(connected.room_url, connected.token)
        await caller.until_heard()
        times |= caller.times
    seen = {step: times[step] - clock for step in SEEN_BY_THE_CALLER}
    return connected, {"pressed": wall + clock, "answer_took": caller.answer_took, **seen}


def spoken_calls(world: World, connects: list[Connect]) -> list[SpokenCall]:
    """Make calls at once, each until its first word."""

    async def all_of_them() -> list[tuple[Connected, dict[str, float]]]:
        return await asyncio.gather(*(press(connect) for connect in connects))

    try:
        pressed = asyncio.run(all_of_them())
    except (CallRefused, TimeoutError) as error:
        raise DidNotHappen(f"a spoken call: {type(error).__name__} {error}") from error
    return [_with_rows(world, connected, at) for connected, at in pressed]


def press_without_rows(connect: Connect) -> float:
    """Return the seconds from the press to the first word, for a call that the service does not know."""
    try:
        return asyncio.run(press(connect))[1]["heard"]
    except (CallRefused, TimeoutError) as error:
        raise DidNotHappen(f"a spoken call: {type(error).__name__} {error}") from error


def one_spoken_call(world: World, api: Api) -> SpokenCall:
    lead = api.push()
    return spoken_calls(world, [lambda: api.connect(lead)])[0]


def _with_rows(world: World, connected: Connected, at: dict[str, float]) -> SpokenCall:
    session: uuid.UUID = connected.session
    spoke = world.wait_for("first sound", lambda: world.rows.first_audio(session))
    pressed, took = at.pop("pressed"), at.pop("answer_took")
    return SpokenCall({**at, "spoke": spoke - pressed}, world.rows.starts([session])[0], took)
