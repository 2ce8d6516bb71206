"""The scenarios, by the row of the table of promises. Each starts its own pods; the run ends them."""

from collections.abc import Callable, Iterator

from trials.chaos.findings import Finding
from trials.chaos.fleet_world import FleetWorld
from trials.chaos.scenarios import agents, bots, capacity, daily, database, expiry, people, supervisors, zygote

Scenario = Callable[[FleetWorld], Iterator[Finding]]

SCENARIOS: dict[int, tuple[str, Scenario]] = {
    1: ("a process killed around its claim", agents.killed_around_the_claim),
    2: ("a process that hangs around its claim", agents.hung_around_the_claim),
    3: ("a process that dies or hangs in a call", agents.lost_in_a_call),
    4: ("the zygote killed", zygote.killed),
    5: ("a supervisor killed", supervisors.killed),
    6: ("PostgreSQL stopped for 30 s under load", database.stopped),
    7: ("connections to PostgreSQL silent", database.silent),
    8: ("Daily's bad days", daily.bad_days),
    9: ("Daily down and the stock used up", daily.down),
    10: ("rooms near their end, clocks that jump", expiry.near_the_end),
    12: ("one name twice, a supervisor paused", supervisors.paused),
    13: ("bots that misbehave", bots.misbehaving),
    14: ("all pods full", capacity.full),
    15: ("nobody comes, somebody leaves, the bot never joins", people.absent),
    16: ("a connect retried", people.retried),
    17: ("a host lost, with Daily's webhooks", supervisors.host_lost),
}
