"""Row 13: bots that do not import, crash while they warm, never end, flood their output."""

import time
from collections.abc import Iterator
from pathlib import Path

from trials.chaos.findings import Finding, fact, times
from trials.chaos.fleet import Pod
from trials.chaos.fleet_world import FleetWorld

TRIED_S = 30.0
TRIES_A_MINUTE = 6
LIMIT_S = 10
STUBBORN = """
import asyncio, sys
async def bot(runner_args):
    for number in range(20_000):
        print("flood", number, "x" * 200)
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            pass
"""
BOTS = {
    "broken_import": "import no_such_module_anywhere\n",
    "broken_warmup": "raise RuntimeError('crashes while it warms')\n",
    "stubborn": STUBBORN,
}
STATUS = "/agent/voice/automatic/pool/status"


def misbehaving(world: FleetWorld) -> Iterator[Finding]:
    directory = world.directory / "bots"
    directory.mkdir(exist_ok=True)
    for name, source in BOTS.items():
        (directory / f"{name}.py").write_text(source)
    pods = {name: _pod(world, directory, name) for name in ("broken_import", "broken_warmup")}
    world.pause(TRIED_S)
    line = world.line()
    said = str(line.request("GET", STATUS)[1].get("reasons"))
    for name, pod in pods.items():
        tries = pod.output().count("zygote warm-up failed")
        allowed = TRIES_A_MINUTE * TRIED_S / 60 + 2  # the first pauses are shorter
        yield fact(13, f"{name}: tried again with backoff", 1 <= tries <= allowed, f"{tries} tries in {TRIED_S:.0f} s")
    yield fact(13, "the reason is in the status", "no_such_module" in said or "crashes" in said, said[:160])
    refused = world.connect(line)
    yield fact(13, "pods whose bot does not start take no sessions", refused.status == 503, refused.detail)
    line.close()
    world.fleet.end()
    yield from _stubborn(world, directory)


def _pod(world: FleetWorld, directory: Path, bot: str, **variables: str) -> Pod:
    return world.fleet.start(VOICE_AGENT_BOT=bot, VOICE_AGENT_BOT_DIR=str(directory), **variables)


def _stubborn(world: FleetWorld, directory: Path) -> Iterator[Finding]:
    pod = _pod(world, directory, "stubborn", MAX_DAILY_SESSION_LIMIT=str(LIMIT_S))
    world.wait_until_full()
    line = world.line()
    began = time.time()
    answer = world.connect(line)
    world.wait_until_in_room(answer)
    world.daily.visit(answer.room, answer.token, None)
    world.wait_until_over(answer, 60)
    session = world.session(answer)
    yield times(
        13, f"never ends: ended by its limit of {LIMIT_S} s", session.ended_after(began), LIMIT_S + 20.0, session.reason
    )
    world.wait_until_full()
    size = pod.log.stat().st_size
    yield fact(13, "20,000 lines of 200 letters leave a bounded log", size < 1_000_000, f"{size // 1000} kB")
    line.close()
    world.wait_until_level()
