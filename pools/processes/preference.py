"""Sessions that wait for a process while a roll-out stands: whose are they?

Every pod sees them all, and the first to come has one. A pod whose version a session has not drawn leaves it to a pod
of that version which says that it has a free slot, but only for a moment: a caller never waits for a version. Nor does
a session whose first hand-off has failed; it goes to whoever is there.
"""

from collections.abc import Sequence
from datetime import timedelta

from django.db.models.functions import Now

from pools.models import Pod, VoiceSession
from pools.shares import draw, prefers

A_MOMENT = timedelta(seconds=0.5)


def left_to_others(pod: Pod, waiting: Sequence[VoiceSession]) -> set[int]:
    """Keys of those that this pod does not take now. One short statement, for a start that has missed already."""
    carrying = list(Pod.objects.taking().filter(draws_from__isnull=False).annotate(at=Now()))
    own = next((place for place in carrying if place.pk == pod.pk), None)
    if own is None:
        return set()
    able = [place for place in carrying if place.free_slots and not place.agent_trouble]

    def left(session: VoiceSession) -> bool:
        if session.attempt > 1 or own.at - session.created_at > A_MOMENT:
            return False
        number = draw(session.uuid)
        return not prefers(number, own.draws) and any(prefers(number, place.draws) for place in able)

    return {session.pk for session in waiting if left(session)}
