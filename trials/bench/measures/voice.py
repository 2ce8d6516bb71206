"""From the press of the button to the first word at the client's ear, in a room of the sandbox, over real WebRTC."""

import time
import uuid
from collections.abc import Iterable, Sequence
from functools import partial
from itertools import pairwise

from pools.agent.channel import AgentChannel
from pools.agent.launcher import spawn
from pools.daily.tokens import TokenRequest
from pools.protocol import Go, Message, Start, Started
from trials.bench.measures.floors import daily_client, new_room
from trials.bench.measures.forks import end, wait_for_ready
from trials.bench.progress import Progress
from trials.bench.rounds import kinds_of
from trials.bench.voice_rounds import STEPS, SpokenCall, one_spoken_call, press_without_rows, spoken_calls
from trials.client import Connected
from trials.figures import Figure, milliseconds
from trials.world import Sizes, World

UNMEASURED = 2
CROWD = 8
TOKEN_LIFE_S = 1800
WARM_AIM_MS, OURS_AIM_MS, PREJOINED_AIM_MS = 400, 30, 150
STEP_WORDS = {
    "connect": "press to connect answered",
    "joined": "to the caller in the room",
    "offered": "to the offer sent",
    "answered": "to the bot's answer",
    "connected": "to WebRTC connected (ICE, DTLS)",
    "spoke": "to the first sound sent by the bot",
    "heard": "to the first word heard (codec, jitter buffer)",
}


def warm(world: World, rounds: int, progress: Progress) -> Iterable[Figure]:
    calls = _calls(world, Sizes(processes=3, rooms=5), rounds, progress)
    yield _first_word("voice_warm", "warm pair", calls, {"p50": WARM_AIM_MS})
    yield _ours("voice_warm", "warm pair", calls)
    yield from _timeline("voice_warm", "warm pair", calls)


def prejoined(world: World, rounds: int, progress: Progress) -> Iterable[Figure]:
    with world.other_api(VOICE_AGENT_PREJOIN="2"):
        calls = _calls(world, Sizes(processes=3, rooms=5, prejoined=2), rounds, progress)
    yield _first_word("voice_prejoined", "pre-joined pair", calls, {"p50": PREJOINED_AIM_MS})
    yield _ours("voice_prejoined", "pre-joined pair", calls)
    yield from _timeline("voice_prejoined", "pre-joined pair", calls)


def process_cold(world: World, rounds: int, progress: Progress) -> Iterable[Figure]:
    calls = _calls(world, Sizes(0, 5), rounds, progress)
    yield _first_word("voice_process_cold", "process pool empty", calls)


def all_cold(world: World, rounds: int, progress: Progress) -> Iterable[Figure]:
    calls = _calls(world, Sizes(0, 0), rounds, progress)
    yield _first_word("voice_all_cold", "both pools empty", calls)


def eight_at_once(world: World, rounds: int, progress: Progress) -> Iterable[Figure]:
    calls: list[SpokenCall] = []
    sizes = Sizes(processes=CROWD, rooms=CROWD)
    with world.pod(sizes), world.api() as api:
        apis = [world.api() for _ in range(CROWD)]
        for number in range(rounds):
            leads = [api.push() for _ in apis]
            pairs = zip(apis, leads, strict=True)
            calls += spoken_calls(world, [partial(own.connect, lead) for own, lead in pairs])
            world.wait_until_settled(sizes)
            progress.done(number + 1, rounds)
        for each in apis:
            each.close()
    yield _first_word("voice_eight", f"{CROWD} at once, warm pairs", calls)


def baseline(world: World, rounds: int, progress: Progress) -> Iterable[Figure]:
    """No pools: while the caller waits, a fresh process, a room over a new connection, two tokens; then the bot."""
    words = []
    for number in range(rounds):
        channels: list[AgentChannel] = []
        words.append(press_without_rows(partial(_all_from_nothing, world, channels)))
        end(world, channels[0])
        progress.done(number + 1, rounds)
    yield Figure("voice_no_pool", "press to first word, no pools", milliseconds(words))


def _all_from_nothing(world: World, channels: list[AgentChannel]) -> Connected:
    began, sent = time.perf_counter(), time.time()
    channel = spawn(world.agent_config, str(uuid.uuid4()))
    channels.append(channel)
    wait_for_ready(channel)
    client, room = daily_client(world), new_room()
    made = client.create_room(room)
    session = uuid.uuid4()
    bot, caller = (
        client.mint_token(TokenRequest(room.name, user, user, owner, TOKEN_LIFE_S).properties(time.time()))
        for user, owner in ((str(session), True), ("caller", False))
    )
    body = {"payload": {"customer_name": "Asha"}}
    channel.send(Start(str(session), 1, made.url, bot, body, session_limit=60.0, sandbox=True))
    _wait_for(channel, Started)
    channel.send(Go(str(session), 1))
    return Connected(session, made.url, caller, sent, time.perf_counter() - began)


def _wait_for(channel: AgentChannel, kind: type[Message]) -> None:
    until = time.monotonic() + 10
    while not any(isinstance(message, kind) for message in channel.receive()):
        if time.monotonic() > until:
            raise OSError(f"the agent said no {kind.type}")
        time.sleep(0.001)


def _calls(world: World, sizes: Sizes, rounds: int, progress: Progress) -> list[SpokenCall]:
    calls = []
    with world.pod(sizes), world.api() as api:
        for number in range(-UNMEASURED, rounds):
            call = one_spoken_call(world, api)
            world.wait_until_settled(sizes)
            if number >= 0:
                calls.append(call)
                progress.done(number + 1, rounds)
    return calls


def _first_word(name: str, what: str, calls: Sequence[SpokenCall], aims: dict[str, float] | None = None) -> Figure:
    words = milliseconds([call.first_word for call in calls])
    starts = kinds_of([call.start for call in calls])
    return Figure(name, f"press to first word, {what}", words, aims=aims or {}, notes=starts)


def _ours(name: str, what: str, calls: Sequence[SpokenCall]) -> Figure:
    ours = milliseconds([call.ours for call in calls])
    return Figure(f"{name}_ours", f"{what}: of it connect, and waiting for the bot", ours, aims={"p50": OURS_AIM_MS})


def _timeline(name: str, what: str, calls: Sequence[SpokenCall]) -> Iterable[Figure]:
    """Where each millisecond goes: the steps follow each other, their medians nearly add up."""
    for before, step in pairwise(("", *STEPS)):
        spans = [call.at[step] - (call.at[before] if before else 0.0) for call in calls]
        yield Figure(f"{name}_{step}", f"  {what}: {STEP_WORDS[step]}", milliseconds(spans))
