"""How long a new agent process takes, from the request to its Ready: no database, no HTTP, nothing else going on."""

import select
import time
import uuid
from collections.abc import Iterable

from pools.agent.launcher import AgentChannel, Zygote
from pools.protocol import Ready, Stop
from trials.bench.progress import Progress
from trials.figures import Figure, milliseconds
from trials.world import DidNotHappen, World

PATIENCE_S = 60.0
QUIET_S = 0.02


def run(world: World, rounds: int, progress: Progress) -> Iterable[Figure]:
    zygote = Zygote(world.agent_config)
    taken = []
    zygote.start()
    try:
        world.wait_for("zygote", lambda: (zygote.receive(), zygote.ready)[1], PATIENCE_S)
        for number in range(rounds):
            taken.append(_one_fork(world, zygote))
            progress.done(number + 1, rounds)
    finally:
        zygote.kill()
    yield Figure("fork_to_ready", "fork to Ready", milliseconds(taken), aims={"p50": 20})


def _one_fork(world: World, zygote: Zygote) -> float:
    began = time.perf_counter()
    channel = zygote.fork(str(uuid.uuid4()))
    wait_for_ready(channel)
    taken = time.perf_counter() - began
    world.wait_for("news of the fork", lambda: _told(zygote, channel), step=0.005)
    end(world, channel)
    return taken


def _told(zygote: Zygote, channel: AgentChannel) -> bool:
    """Tell whether the zygote has answered about this fork. Reads messages about other agents on the way."""
    zygote.receive()
    return channel.pid is not None


def wait_for_ready(channel: AgentChannel) -> None:
    """Wait until the agent is ready. Raises DidNotHappen."""
    deadline = time.monotonic() + PATIENCE_S
    while not channel.eof and (left := deadline - time.monotonic()) > 0:
        select.select([channel], [], [], left)
        if any(isinstance(message, Ready) for message in channel.receive()):
            return
    raise DidNotHappen("the agent process said no Ready")


def end(world: World, channel: AgentChannel) -> None:
    """Stop an idle agent, and wait until the machine is idle again."""
    channel.send(Stop("measured"))
    world.wait_for("exit of the agent", lambda: channel.exited, step=0.005)
    channel.close()
    world.pause(QUIET_S)
