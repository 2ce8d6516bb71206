"""An upgrade under load: an earlier release serves a filled database while today's migrations are applied to it, goes
on serving, and then today's code takes over, without a failed connect or a cut call.

Not rehearsed: other packages than today's, more than one machine, and going back (the earlier release on today's
schema is what it does between the migrations and the take-over).
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar

from trials.bench.history import write_history
from trials.chaos.callers import Answer, Callers, Line
from trials.chaos.daily import Daily
from trials.chaos.fleet_world import LATENCY_S, FleetWorld
from trials.chaos.tables import Tables
from trials.shipping.ingress import LAG_S, Ingress
from trials.shipping.release import NoRelease, Release, Running, exported
from trials.world import DidNotHappen, World, private_world

EARLIER_RELEASE = ""  # in git; empty: nothing has been released with the tables that there are now
SESSIONS = 100_000  # ended, in the database that is upgraded
RATE = 4.0  # connects a second
LEADS = 400  # pushed before the migrations: whoever is locked out then waits in his connect, which is timed
STAY_S = (2.0, 6.0)
SETTLE_S = 8.0
PODS = 2
PATIENCE_S = 120.0
AN_ENDED_CALL = (
    "SELECT 1 FROM pools_voicesession s JOIN leads_lead l ON voice_session_id = s.id WHERE s.status = 'ended'"
)
FULL_PODS = """
    SELECT name FROM pools_pod p WHERE ended_at IS NULL AND heartbeat_at > now() - interval '3 s'
       AND (SELECT count(*) FROM pools_agentprocess a WHERE a.pod_id = p.id AND a.status = 'available') >= agent_target
       AND (SELECT count(*) FROM pools_room r WHERE r.pod_id = p.id AND r.status = 'available') >= room_target
"""
Say = Callable[[str], None]


@dataclass
class Scene:
    world: World
    tables: Tables
    callers: Callers
    apis: list[Running]  # those that the ingress sends requests to, if they are ready
    before: Release
    after: Release
    url: str


def upgrade(project: Path, revision: str, sessions: int, say: Say) -> list[str]:
    """The problems that were found. Without a revision there is nothing to try, and it says so."""
    if not revision:
        say("no upgrade was tried: there is no earlier release yet (--from REV names one)")
        return []
    try:
        with private_world(UpgradeWorld) as world:
            files = exported(project, revision, world.directory / "before")
            with _scene(world, project, files, revision) as scene:
                return _upgraded(scene, sessions, say)
    except (NoRelease, DidNotHappen) as error:
        return [str(error)]


class UpgradeWorld(World):
    """Without an API: each release serves its own."""

    VARIABLES: ClassVar[Mapping[str, str]] = {**FleetWorld.VARIABLES, "RETENTION_DAYS": "0"}

    def begin(self) -> None:
        self.serve_daily()


@contextmanager
def _scene(world: UpgradeWorld, project: Path, files: Path, revision: str) -> Iterator[Scene]:
    """Prepare the earlier release with an empty database, and callers who wait for an API."""
    apis: list[Running] = []
    url = world.postgres.url
    before = Release(revision, files, lambda: world.environment, world.directory)
    after = Release("today", project, lambda: world.environment, world.directory)
    tables, ingress = Tables(url), Ingress(lambda: apis)
    try:
        daily = Daily(world.sandbox.url, world.sandbox.api_key)
        daily.mend(LATENCY_S)
        before.manage("migrate", "--verbosity=0")
        token = str(before.seeded()["token"])
        callers = Callers(lambda: Line(ingress.address, token), daily)
        yield Scene(world, tables, callers, apis, before, after, url)
        callers.end()
    finally:
        ingress.close()
        for release in (before, after):
            release.end()
        tables.close()


def _upgraded(scene: Scene, sessions: int, say: Say) -> list[str]:
    old_api, old_pods = _start(scene, scene.before)
    say(f"{scene.before.name} serves: {PODS} pods, {RATE:g} connects a second from now on")
    scene.callers.arrive(RATE, STAY_S)
    scene.world.wait_for("an ended call", lambda: scene.tables.rows(AN_ENDED_CALL), PATIENCE_S)
    write_history(scene.url, sessions, lambda done: None)
    say(f"{sessions:,} ended sessions more are in the database")
    scene.callers.stock_leads(LEADS)
    scene.world.pause(SETTLE_S)

    began, wall = time.monotonic(), time.time()
    told = scene.after.manage("migrate", "--no-input")
    took = time.monotonic() - began
    applied = told.count("... OK")
    say(f"{applied} migrations applied in {took:.1f} s, until {_now()}")
    scene.world.pause(SETTLE_S)
    say(f"connects before: {_times(scene, 0, wall)}; meanwhile: {_times(scene, wall, wall + took)}")

    _start(scene, scene.after)
    old_api.ready = False
    scene.world.pause(LAG_S + 1)
    problems = [f"{old_api.name} ended with {status}" for status in [old_api.stop()] if status]
    for pod in old_pods:
        if status := pod.stop():
            problems.append(f"{pod.name} ended with {status}")
    say(f"today's code has taken over, at {_now()} the pods of {scene.before.name} are drained")
    scene.world.pause(SETTLE_S)
    scene.callers.pause()
    if not applied:
        problems.append(f"{scene.before.name} has today's schema: nothing was upgraded")
    return problems + _problems(scene, say)


def _start(scene: Scene, release: Release) -> tuple[Running, list[Running]]:
    """Start a release and wait until its API answers and its pods are full."""
    pods = [release.start_pod(number) for number in range(PODS)]
    api = release.serve()
    waiting = {pod.name for pod in pods}

    def have_been_full() -> bool:
        waiting.difference_update(name for (name,) in scene.tables.rows(FULL_PODS))
        return not waiting

    scene.world.wait_for(f"full pods of {release.name}", have_been_full, PATIENCE_S)
    scene.world.wait_for(f"{api.name} listens", lambda: api.port, PATIENCE_S)
    api.ready = True
    scene.apis.append(api)
    scene.world.pause(1)
    return api, pods


def _times(scene: Scene, since: float, until: float) -> str:
    seconds = sorted(answer.seconds for answer in scene.callers.answers if since <= answer.sent < until)
    if not seconds:
        return "none"
    return f"{len(seconds)}, median {seconds[len(seconds) // 2] * 1000:.0f} ms, slowest {seconds[-1] * 1000:.0f} ms"


def _problems(scene: Scene, say: Say) -> list[str]:
    answers, unpushed = scene.callers.answers, scene.callers.unpushed
    connected = [answer for answer in answers if answer.session]
    scene.world.wait_for("the end of all calls", lambda: all(_reasons(scene, connected)), PATIENCE_S)
    failed = [(answer, f"{answer.status} {answer.detail}") for answer in answers if answer.status != 200]
    ends = zip(connected, _reasons(scene, connected), strict=True)
    cut = [(answer, reason) for answer, reason in ends if reason not in ("caller_left", "bot_ended")]
    say(f"{len(answers)} connects, {len(failed)} failed, {unpushed} leads not pushed; {len(cut)} calls cut")
    problems = [f"{unpushed} leads could not be pushed"] if unpushed else []
    problems += [f"failed at {_clock(answer)}: {what}" for answer, what in failed]
    problems += [f"cut, connected at {_clock(answer)}: {reason}" for answer, reason in cut]
    scene.after.manage("migrate", "--check")
    return problems


def _now() -> str:
    return f"{datetime.now(UTC):%H:%M:%S}"


def _clock(answer: Answer) -> str:
    return f"{datetime.fromtimestamp(answer.sent, UTC):%H:%M:%S}"


def _reasons(scene: Scene, connected: list[Answer]) -> list[str]:
    """Return why each call ended; empty for a call in progress."""
    found = scene.tables.sessions([answer.session for answer in connected if answer.session])
    sessions = [found[answer.session] for answer in connected if answer.session]
    return [session.reason if session.status == "ended" else "" for session in sessions]
