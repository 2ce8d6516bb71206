"""Rows 6 and 7: PostgreSQL stopped, and connections to it that fall silent, under load."""

import time
from collections.abc import Iterator

from trials.chaos.callers import Line
from trials.chaos.findings import Finding, fact, times
from trials.chaos.fleet_world import FleetWorld, attempt
from trials.chaos.silence import SilentProxy

RATE = 6.0
AWAY_S = 30.0
SILENT_S = 12.0
LEVEL_AGAIN_S = 5.0


def stopped(world: FleetWorld) -> Iterator[Finding]:
    pods = world.pods(3)
    line = world.line()
    calls = [world.call(line) for _ in range(3)]
    first = len(world.answers)
    world.callers.stock_leads(round(RATE * (AWAY_S + 10)))
    world.callers.arrive(RATE, (0.5, 1.5))
    world.pause(2.0)
    world.stop_postgres()
    world.pause(AWAY_S)
    in_rooms = all(str(call.session) in world.daily.bots() for call in calls)
    world.start_postgres()
    began = time.monotonic()
    world.wait_for("connects work again", lambda: attempt(lambda: _works(world)), 30)
    yield times(6, "database back to the first connect", [time.monotonic() - began], LEVEL_AGAIN_S)
    world.wait_for("pods are full again", lambda: attempt(lambda: world.tables.full_pods() == 3), 30)
    yield times(6, "database back to all pods full, under load", [time.monotonic() - began], LEVEL_AGAIN_S)
    world.callers.pause()
    yield from _answers(world, 6, first)
    yield fact(6, "supervisors survive", len([pod for pod in pods if pod.runs]) == 3)
    yield fact(6, "calls go on", in_rooms and all(world.session(call).status == "active" for call in calls))
    judged = [pod.name for pod in pods if "event=pod_reaped" in pod.output()]
    yield fact(6, "nobody was judged while late", not judged, judged)
    for call in calls:
        world.hang_up(call)
        world.wait_until_over(call)
    line.close()
    world.wait_until_level()


def _works(world: FleetWorld) -> bool:
    line = world.line()
    try:
        return world.callers.call(line, 0.5) is not None and world.answers[-1].status == 200
    finally:
        line.close()


def silent(world: FleetWorld) -> Iterator[Finding]:
    """Start a pod and a gunicorn that reach the database through the proxy."""
    proxy = SilentProxy(world.postgres.url)
    try:
        yield from _silent(world, proxy)
    finally:
        world.end_second_api()
        world.fleet.end()
        proxy.close()


def _silent(world: FleetWorld, proxy: SilentProxy) -> Iterator[Finding]:
    (pod,) = world.pods(1, DATABASE_URL=proxy.url)
    address = world.serve_second_api(DATABASE_URL=proxy.url)
    line = world.line()
    call = world.call(line)
    world.wait_until_full()
    leads = [line.push() for _ in range(8)]
    proxied = Line(address, world.token)
    warm = proxied.connect(leads.pop() or "")
    world.answers.append(warm)
    world.daily.visit(warm.room, warm.token, 0.5)
    proxy.fall_silent()
    answers = []
    began = time.monotonic()
    while time.monotonic() - began < SILENT_S and leads:
        answers.append(proxied.connect(leads.pop() or ""))
        world.pause(0.5)
    world.answers.extend(answers)
    yield times(7, "silent: time to the 503", [answer.seconds for answer in answers], 5.0)
    told = all(answer.status == 503 and answer.retry_after for answer in answers)
    yield fact(7, "every answer is a 503 with Retry-After", told, {(a.status, a.detail) for a in answers})
    world.wait_for("runpools drops its connection", pod.says("event=database_away"), 30)
    yield times(7, "silent to noticed by runpools", [time.monotonic() - began], SILENT_S + 8)
    yield fact(7, "the call goes on", str(call.session) in world.daily.bots())
    proxy.speak()
    back = time.monotonic()
    world.wait_for("runpools is back", lambda: pod.says("event=database_back")() and world.tables.full_pods() == 1, 60)
    yield times(7, "speaking again to a full pod", [time.monotonic() - back], LEVEL_AGAIN_S)
    retried = world.wait_for("a connect", lambda: _connects(world, proxied), 30)
    yield fact(7, "connects work again", retried)
    yield fact(7, "the same incarnation goes on", pod.runs and "event=pod_was_reaped" not in pod.output())
    world.hang_up(call)
    world.wait_until_over(call)
    proxied.close()
    line.close()
    world.wait_until_level()


def _connects(world: FleetWorld, line: Line) -> bool:
    answer = world.callers.call(line, 0.5)
    return answer is not None and answer.status == 200


def _answers(world: FleetWorld, row: int, first: int) -> Iterator[Finding]:
    answers = world.answers[first:]
    refused = [answer for answer in answers if answer.status == 503]
    right = all(answer.status == 200 or (answer.status == 503 and answer.retry_after) for answer in answers)
    wrong = sorted({f"{a.status} {a.detail}" for a in answers if a.status not in (200, 503)})
    note = f"{len(answers)} asked, {len(refused)} refused, {world.callers.unpushed} not even pushed {wrong or ''}"
    yield fact(row, "connect answers 200 or 503 with Retry-After, nothing else", right, note)
    slow = [answer.seconds for answer in refused]
    if slow:
        yield times(row, "time to the 503", slow, 5.0)
