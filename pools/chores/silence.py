"""How long other pods have been silent, as far as this pod was there to hear them."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from pools.decisions.planner import PodSeen, silence


class Silence:
    """By the pods' primary keys: the heartbeat that was last seen, and the seconds of silence since."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[datetime, float]] = {}
        self._looked = 0.0

    def poll(self, now: float, others: Iterable[PodSeen]) -> None:
        """`now`: on the supervisor's clock."""
        self._known = {pod.pk: (pod.heartbeat_at, self._silence(now, pod)) for pod in others}
        self._looked = now

    def _silence(self, now: float, pod: PodSeen) -> float:
        heartbeat_at, before = self._known.get(pod.pk, (None, 0.0))
        same = heartbeat_at == pod.heartbeat_at
        return silence(before if same else None, silent=pod.silent, since_last_look=now - self._looked)

    def longer_than(self, lease: timedelta) -> list[int]:
        return [pk for pk, (_, seconds) in self._known.items() if seconds > lease.total_seconds()]
