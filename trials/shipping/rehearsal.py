"""Rehearses a roll-out of both Deployments as a cluster does it, under load, with the manifests' real processes.

From the manifests: commands, environment, probes with their periods, minReadySeconds, preStop, signals, grace. Not from
them: the database, the sandbox that stands for Daily, and the light bot, so that ten calls a second fit on two cores.
"""

import time
import uuid
from collections.abc import Callable
from pathlib import Path

from trials.chaos.callers import Callers, Line
from trials.chaos.fleet_world import FleetWorld
from trials.chaos.tables import Session
from trials.shipping import manifests
from trials.shipping.deployment import Deployment
from trials.shipping.ingress import Ingress
from trials.shipping.kubelet import Workload
from trials.world import LIGHT_BOT, private_world

RATE = 5.0  # connects a second: gunicorn twice over, four pods and their bots share this machine
STAY_S = (2.0, 6.0)
SETTLE_S = 5.0
LOCAL = {
    "VOICE_AGENT_BOT": LIGHT_BOT,
    "CALLER_JOIN_TIMEOUT": "15",
    "WEB_CONCURRENCY": "1",
    "ALLOWED_HOSTS": "api",
}


def rehearse(project: Path, say: Callable[[str], None]) -> list[str]:
    """The problems that were found."""
    found = manifests.as_written(project / "deploy" / "kubernetes")
    with private_world(FleetWorld) as world:
        return _rehearse(found, world, say)


def _rehearse(found: list[manifests.Manifest], world: FleetWorld, say: Callable[[str], None]) -> list[str]:
    api, pods = (Deployment(_workload(found, name, world), world, world.directory, say) for name in ("api", "pods"))
    ingress = Ingress(lambda: api.replicas)
    callers = Callers(lambda: Line(ingress.address, world.token), world.daily)
    try:
        api.scale(_replicas(found, "api"))
        pods.scale(_replicas(found, "pods"))
        say(f"{len(api.replicas)} api and {len(pods.replicas)} pods are ready; {RATE:g} connects a second from now on")
        callers.arrive(RATE, STAY_S)
        world.pause(SETTLE_S)
        began = time.monotonic()
        api.roll_out()
        pods.roll_out()
        world.pause(SETTLE_S)
        callers.pause()
        api.wait_for_stops(60)
        pods.wait_for_stops(60)
        say(f"both are rolled out after {time.monotonic() - began:.0f} s")
        return _problems(world, callers, [api, pods], say)
    finally:
        callers.end()
        ingress.close()
        for deployment in (api, pods):
            deployment.end()


def _problems(
    world: FleetWorld, callers: Callers, deployments: list[Deployment], say: Callable[[str], None]
) -> list[str]:
    answers = callers.answers
    failed = [f"{answer.status} {answer.detail}" for answer in answers if answer.status != 200]
    uuids = [answer.session for answer in answers if answer.session]
    world.wait_for("the end of all calls", lambda: all(s.status == "ended" for s in _sessions(world, uuids)))
    reasons = [session.reason for session in _sessions(world, uuids)]
    cut = [reason for reason in reasons if reason not in ("caller_left", "bot_ended")]
    say(f"{len(answers)} connects, {len(failed)} failed, {callers.unpushed} leads not pushed")
    say(f"{len(uuids)} calls, {len(cut)} cut")
    problems = []
    if failed or callers.unpushed:
        problems.append(f"{len(failed)} connects failed, {callers.unpushed} pushes: {sorted(set(failed))}")
    if cut:
        problems.append(f"{len(cut)} calls were cut: {sorted(set(cut))}")
    if not uuids:
        problems.append("nobody called")
    for deployment in deployments:
        problems += deployment.problems()
    return problems


def _sessions(world: FleetWorld, uuids: list[uuid.UUID]) -> list[Session]:
    return list(world.tables.sessions(uuids).values())


def _workload(found: list[manifests.Manifest], name: str, world: FleetWorld) -> Workload:
    configuration = next(one["data"] for one in found if one["kind"] == "ConfigMap")
    return Workload(name, _deployment(found, name)["spec"], {**world.environment, **configuration, **LOCAL})


def _replicas(found: list[manifests.Manifest], name: str) -> int:
    return int(_deployment(found, name)["spec"]["replicas"])


def _deployment(found: list[manifests.Manifest], name: str) -> manifests.Manifest:
    return next(one for one in found if one["kind"] == "Deployment" and one["metadata"]["name"] == name)
