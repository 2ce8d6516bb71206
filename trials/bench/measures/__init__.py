"""The measures, in the order of the run. Each measure brings up the pod that it needs and yields its figures."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from trials.bench.measures import baseline, burst, cockpit, crowd, drained, floors, forks, history, scrape, voice, warm
from trials.bench.progress import Progress
from trials.figures import Figure
from trials.world import World


@dataclass(frozen=True)
class Measure:
    """`rounds`: how often by default. `run` raises the error if the measure fails."""

    name: str
    about: str
    rounds: int
    run: Callable[[World, int, Progress], Iterable[Figure]]


MEASURES = (
    Measure("floors", "what bounds the others: a durable commit, an HTTP round trip, a Daily call", 40, floors.run),
    Measure("warm", "one client, pools full before each connect: connect, acknowledgement, refill", 100, warm.run),
    Measure("crowd", "8 clients at once, a warm pair for each connect; memory of idle processes", 20, crowd.run),
    Measure("burst", "10 connects at once with 2 warm processes and 10 rooms", 8, burst.run),
    Measure("no-process", "the process pool empty: the session waits for a fork", 40, drained.without_processes),
    Measure("nothing", "both pools empty: room and process on demand", 15, drained.without_anything),
    Measure("spawn", "the process pool empty, and no zygote: a fresh interpreter on demand", 5, drained.spawning),
    Measure("forks", "fork to Ready, asked of the launcher itself", 100, forks.run),
    Measure(
        "baseline", "no pools: a fresh process, a room and two tokens over REST, one after the other", 6, baseline.run
    ),
    Measure("history", "the claim after a million ended sessions, as against the first day", 60, history.run),
    Measure("scrape", "GET /metrics with 10,000 live rows and a million ended sessions", 50, scrape.run),
    Measure("cockpit", "the operators' pages after a million ended sessions", 20, cockpit.run),
)
VOICE_MEASURES = (
    Measure("voice-prejoined", "press to first word, the bot in its room already", 40, voice.prejoined),
    Measure("voice-warm", "press to first word with full pools, and where each millisecond of it goes", 40, voice.warm),
    Measure("voice-process-cold", "press to first word, the process pool empty", 20, voice.process_cold),
    Measure("voice-all-cold", "press to first word, both pools empty", 10, voice.all_cold),
    Measure("voice-eight", "press to first word, 8 callers at once with warm pairs", 4, voice.eight_at_once),
    Measure(
        "voice-baseline",
        "press to first word without pools: process, room, tokens, one after the other",
        8,
        voice.baseline,
    ),
)
