"""Row 14: more callers than the pods can have processes."""

from collections.abc import Iterator

from trials.chaos.findings import Finding, fact
from trials.chaos.fleet_world import FleetWorld

CAPACITY = 8


def full(world: FleetWorld) -> Iterator[Finding]:
    world.pods(
        2, VOICE_AGENT_MAX_PROCESSES=str(CAPACITY // 2), VOICE_AGENT_POOL_SIZE="2", VOICE_AGENT_MAX_POOL_SIZE="2"
    )
    line = world.line()
    answers = [world.connect(line) for _ in range(CAPACITY + 6)]
    served = [answer for answer in answers if answer.status == 200]
    refused = [answer for answer in answers if answer.status == 503]
    for answer in served:
        world.wait_until_in_room(answer)
    note = f"{len(served)} served, {len(refused)} refused"
    yield fact(14, f"{CAPACITY} processes allowed serve {CAPACITY}", len(served) == CAPACITY, note)
    told = all(answer.retry_after for answer in refused) and len(served) + len(refused) == len(answers)
    yield fact(14, "the others get 503 with Retry-After", told, {answer.detail for answer in refused})
    backlog = all(line.lead_status(answer.lead) == "BACKLOG" for answer in refused)
    yield fact(14, "their leads stay in BACKLOG", backlog)
    for answer in served:
        world.daily.visit(answer.room, answer.token, 0.5)
    for answer in served:
        world.wait_until_over(answer)
    again = world.connect(line, refused[0].lead)
    world.wait_until_in_room(again)
    yield fact(14, "a refused lead connects when there is room again", again.status == 200)
    world.daily.visit(again.room, again.token, 0.3)
    line.close()
    world.wait_until_level()
