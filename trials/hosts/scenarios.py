"""Scenarios on several hosts. Each begins with one full pod on each of three hosts and yields findings."""

import signal
import time
from collections import Counter
from collections.abc import Iterator
from functools import partial

import requests

from trials.chaos.callers import Answer
from trials.chaos.findings import Finding, fact, times
from trials.chaos.fleet import Pod
from trials.hosts.hosts_world import PROBES_PORT, HostsWorld, host_of
from trials.hosts.network import POD_HOSTS, address, cut, slow

STAY_S = (3.0, 8.0)  # so long that nobody is gone before the bot comes;
FAR_STAY_S = (7.0, 10.0)  # it takes up to six seconds to come from a host that is far away
RATE = 4.0  # connects a second
BLINK_S, LONG_S = 2.0, 25.0  # shorter than the lease for hand-offs (3 s), longer than the one for reaping
API_CUT_S = 8.0
ONE_WAY_S = 0.02
MIN_READY_S = 5.0  # minReadySeconds of deploy/kubernetes/pods/deployment.yaml
SURGE_PORT = PROBES_PORT + 10
WARM_S = 60.0
HOSTS_OF = """
    SELECT s.uuid::text, p.host, extract(epoch FROM s.active_at)::float8 FROM pools_voicesession s
      JOIN pools_agentprocess a ON a.id = s.agent_process_id JOIN pools_pod p ON p.id = a.pod_id WHERE s.uuid = ANY(%s)
"""
REAPED = "SELECT count(*) FROM pools_pod WHERE name = %s AND ended_at IS NOT NULL"


def across(world: HostsWorld) -> Iterator[Finding]:
    """Claims of one API, served by three hosts."""
    world.pods(len(POD_HOSTS))
    answers = _load(world, 10.0)
    yield _all_answered(1, answers)
    served = Counter(host for _, host, _ in _hosts_of(world, answers))
    yield fact(1, "every host serves its share", min(served[host] for host in POD_HOSTS) > 0, dict(served))
    yield times(1, "connect to answered", [answer.seconds for answer in answers], 0.5)
    yield _acknowledged(world, 1, answers, 1.0)
    world.wait_until_level()
    yield from _no_call_was_cut(world, 1, answers)


def blink(world: HostsWorld) -> Iterator[Finding]:
    """A host cut off from the database for less than its lease."""
    pods = world.pods(len(POD_HOSTS))
    calls, own, victim = _calls_everywhere(world, pods)
    world.callers.arrive(RATE, STAY_S)
    first = len(world.answers)
    world.pause(1.0)
    with cut(host_of(victim), "inside"):
        world.pause(BLINK_S)
    world.pause(6.0)
    world.callers.pause()
    answers = world.answers[first:]
    yield _all_answered(2, answers)
    yield _acknowledged(world, 2, answers, 5.0)
    stays = not world.tables.number(REAPED, [victim.name]) and victim.runs
    yield fact(2, "the pod is still who it was", stays)
    yield from _calls_go_on(world, 2, own)
    yield from _hang_up(world, 2, calls)


def cut_off(world: HostsWorld) -> Iterator[Finding]:
    """A host cut off from the database for longer than any lease: its calls go on, the others do without it."""
    pods = world.pods(len(POD_HOSTS))
    calls, own, victim = _calls_everywhere(world, pods)
    first = len(world.answers)
    world.callers.arrive(RATE, STAY_S)
    world.pause(1.0)
    began = time.monotonic()
    with cut(host_of(victim), "inside"):
        world.wait_for("its row reaped", lambda: world.tables.number(REAPED, [victim.name]), 30)
        yield times(3, "cut off to its rows reaped", [time.monotonic() - began], 15.0)
        world.pause(max(0.0, LONG_S - (time.monotonic() - began)))
        yield from _calls_go_on(world, 3, own)
    back = time.monotonic()
    world.wait_for("it finds out", victim.says("event=pod_was_reaped"), 40)
    yield times(3, "plugged in to knowing that it was reaped", [time.monotonic() - back], 10.0)
    world.callers.pause()
    answers = world.answers[first:]
    yield _all_answered(3, answers)
    yield _acknowledged(world, 3, answers, 5.0)
    yield from _calls_go_on(world, 3, own)
    yield from _hang_up(world, 3, calls)
    world.wait_for("its end", lambda: not victim.runs, 40)
    yield fact(3, "it ends in order when its calls are over", victim.process.returncode == 0, victim.process.returncode)
    world.hosts.start(world.hosts.next_name_on(host_of(victim)))
    world.wait_until_full()
    yield fact(3, "a new pod takes its place on that host", True)
    world.wait_until_level()


def unplugged(world: HostsWorld) -> Iterator[Finding]:
    """A host that has lost every cable: nobody hears of it, and nobody is told."""
    pods = world.pods(len(POD_HOSTS))
    calls, own, victim = _calls_everywhere(world, pods)
    first = len(world.answers)
    world.callers.arrive(RATE, STAY_S)
    world.pause(1.0)
    with cut(host_of(victim), "inside", "outside"):
        world.wait_for("its row reaped", lambda: world.tables.number(REAPED, [victim.name]), 30)
        world.pause(5.0)
    world.callers.pause()
    answers = world.answers[first:]
    yield _all_answered(4, answers)
    yield _acknowledged(world, 4, answers, 5.0)
    world.wait_for("it finds out", victim.says("event=pod_was_reaped"), 40)
    yield from _calls_go_on(world, 4, own)
    yield from _hang_up(world, 4, calls)
    world.wait_for("its end", lambda: not victim.runs, 40)
    world.hosts.start(world.hosts.next_name_on(host_of(victim)))
    world.wait_until_full()
    world.wait_until_level()


def api_cut_off(world: HostsWorld) -> Iterator[Finding]:
    """The API without its database: quick, honest refusals, and back at once."""
    pods = world.pods(len(POD_HOSTS))
    calls, _, _ = _calls_everywhere(world, pods)
    world.callers.stock_leads(40)
    first = len(world.answers)
    with cut("api", "inside"):
        world.callers.arrive(RATE, STAY_S)
        world.pause(API_CUT_S)
        world.callers.pause()
    answers = world.answers[first:]
    told = all(answer.status == 503 and answer.retry_after for answer in answers)
    yield fact(5, "every connect is answered 503 with Retry-After", told and answers, _statuses(answers))
    yield times(5, "time to the 503", [answer.seconds for answer in answers], 6.0)
    line, back = world.line(), time.monotonic()
    world.wait_for("a connect", lambda: world.connect(line).status == 200, 30, step=0.2)
    yield times(5, "plugged in to a connect", [time.monotonic() - back], 6.0)
    line.close()
    yield from _hang_up(world, 5, calls)
    world.wait_until_level()


def far_away(world: HostsWorld) -> Iterator[Finding]:
    """A host whose cable to the database is long."""
    host = POD_HOSTS[0]
    (distant,) = (pod for pod in world.pods(len(POD_HOSTS)) if host_of(pod) == host)
    with slow(host, "inside", ONE_WAY_S):
        world.wait_until_full()
        answers = _load(world, 15.0, FAR_STAY_S)
        yield _all_answered(6, answers)
        sent = {str(answer.session): answer.sent for answer in answers}
        served = [(name, at - sent[session]) for session, name, at in _hosts_of(world, answers)]
        far = [seconds for name, seconds in served if name == host]
        near = [seconds for name, seconds in served if name != host]
        yield times(6, f"acknowledged by {host}, {2 * ONE_WAY_S * 1000:.0f} ms from the database", far, 1.0)
        yield times(6, "acknowledged by the others", near, 0.5)
        yield fact(6, "it keeps its leases", not world.tables.number(REAPED, [distant.name]))
        world.wait_until_level()
        yield from _no_call_was_cut(world, 6, answers)


def rolling(world: HostsWorld) -> Iterator[Finding]:
    """What the manifests have a cluster do, by hand: a new pod warm on a host, then SIGTERM to the old one."""
    pods = world.pods(len(POD_HOSTS))
    first = len(world.answers)
    world.callers.arrive(RATE, STAY_S)
    drains, warm = [], []
    for number, old in enumerate(pods):
        began = time.monotonic()
        port = SURGE_PORT + number
        new = world.hosts.start(world.hosts.next_name_on(host_of(old)), RUNPOOLS_HEALTH_PORT=str(port))
        world.wait_for(f"{new.name} warm", partial(_is_warm, new, port), WARM_S, step=0.5)
        warm.append(time.monotonic() - began)
        world.pause(MIN_READY_S)
        began = time.monotonic()
        old.signal(signal.SIGTERM)
        world.wait_for(f"the end of {old.name}", partial(_is_gone, old), 60)
        drains.append(time.monotonic() - began)
        yield fact(7, f"{old.name} ended in order", old.process.returncode == 0, old.process.returncode)
    world.pause(2.0)
    world.callers.pause()
    answers = world.answers[first:]
    yield times(7, "start of a new pod to /health/warm", warm, 30.0)
    yield times(7, "SIGTERM to the end of an old one, its calls included", drains, 30.0)
    failed = [answer for answer in answers if answer.status != 200]
    yield fact(7, "no connect fails", not failed and answers, _statuses(answers))
    yield _acknowledged(world, 7, answers, 2.0)
    world.wait_until_level()
    yield from _no_call_was_cut(world, 7, answers)


SCENARIOS = {
    1: ("claims across hosts", across),
    2: ("a host cut off from the database for 2 s, less than its lease", blink),
    3: ("a host cut off from the database for 25 s, more than its lease", cut_off),
    4: ("a host without any cable until it is reaped, and back", unplugged),
    5: ("the API's host cut off from the database for 8 s", api_cut_off),
    6: ("a host with 40 ms to the database and back", far_away),
    7: ("pods restarted host by host, as the manifests order it", rolling),
}


# --- parts of them ---------------------------------------------------------------------------------------------


def _load(world: HostsWorld, seconds: float, stay: tuple[float, float] = STAY_S) -> list[Answer]:
    first = len(world.answers)
    world.callers.arrive(RATE, stay)
    world.pause(seconds)
    world.callers.pause()
    return world.answers[first:]


def _calls_everywhere(world: HostsWorld, pods: list[Pod]) -> tuple[list[Answer], list[Answer], Pod]:
    """Start calls. Returns them, the pod with the most calls, and its calls."""
    line = world.line()
    calls = [world.call(line) for _ in range(6)]
    line.close()
    world.wait_until_full()
    hosts = {session: host for session, host, _ in _hosts_of(world, calls)}
    most = Counter(hosts.values()).most_common(1)[0][0]
    (victim,) = (pod for pod in pods if host_of(pod) == most)
    return calls, [call for call in calls if hosts[str(call.session)] == most], victim


def _hosts_of(world: HostsWorld, answers: list[Answer]) -> list[tuple[str, str, float]]:
    """Session, host, when it was acknowledged."""
    rows = world.tables.rows(HOSTS_OF, [[answer.session for answer in answers if answer.session]])
    return [(session, host, at) for session, host, at in rows if at is not None]


def _all_answered(row: int, answers: list[Answer]) -> Finding:
    right = all(answer.status == 200 or (answer.status == 503 and answer.retry_after) for answer in answers)
    return fact(row, "connect answers 200 or 503 with Retry-After, nothing else", right and answers, _statuses(answers))


def _statuses(answers: list[Answer]) -> str:
    return ", ".join(f"{number} x {status}" for status, number in Counter(a.status for a in answers).items())


def _acknowledged(world: HostsWorld, row: int, answers: list[Answer], limit: float) -> Finding:
    found = world.tables.sessions([answer.session for answer in answers if answer.session])
    waits = [s for a in answers if a.session for s in found[a.session].acknowledged_after(a.sent)]
    return times(
        row, "connect to acknowledged", waits, limit, f"{sum(s.attempt > 1 for s in found.values())} re-handed"
    )


def _calls_go_on(world: HostsWorld, row: int, calls: list[Answer]) -> Iterator[Finding]:
    bots = world.daily.bots()
    there = all(str(call.session) in bots for call in calls)
    active = all(world.session(call).status == "active" for call in calls)
    yield fact(row, "its calls go on: bots in their rooms, sessions active", there and active, f"{len(calls)} calls")


def _hang_up(world: HostsWorld, row: int, calls: list[Answer]) -> Iterator[Finding]:
    for call in calls:
        world.hang_up(call)
    for call in calls:
        world.wait_until_over(call, 60)
    reasons = Counter(world.session(call).reason for call in calls)
    yield fact(
        row, "every call ends by its caller, and that is recorded", set(reasons) == {"caller_left"}, dict(reasons)
    )


def _no_call_was_cut(world: HostsWorld, row: int, answers: list[Answer]) -> Iterator[Finding]:
    sessions = world.tables.sessions([answer.session for answer in answers if answer.session])
    cut_short = [s.reason for s in sessions.values() if s.reason not in ("caller_left", "bot_ended")]
    yield fact(
        row, "no call is cut", not cut_short, f"{len(cut_short)} of {len(sessions)} {sorted(set(cut_short)) or ''}"
    )


def _is_gone(pod: Pod) -> bool:
    return not pod.runs


def _is_warm(pod: Pod, port: int) -> bool:
    """Ask the pod as its readiness probe does."""
    try:
        url = f"http://{address(host_of(pod), 'outside')}:{port}/health/warm"
        return requests.get(url, timeout=3).status_code == 200
    except requests.RequestException:
        return False
