"""Two versions of the bot side by side, for the tests of roll-outs."""

from datetime import timedelta

from django.db import transaction

from pools.models import Pod, VoiceSession
from pools.sessions.claims import SessionRequest, claim
from tests.support.make import make_agent_process, make_pod, make_room

REQUEST = SessionRequest(body={}, life=timedelta(minutes=30))
NEW, OLD = "2.3", "2.2"
ONE_IN_A_BILLION = 6.2  # standard deviations: beyond them is less than 1 in 10^9, both tails together


def claimed(request: SessionRequest = REQUEST) -> VoiceSession:
    with transaction.atomic():
        return claim(request)


def two_versions(stock: int = 1) -> tuple[Pod, Pod]:
    """A pod of the new version, which has fewer free slots, and one of the old."""
    new, old = make_pod(version=NEW, free_slots=3), make_pod(version=OLD, free_slots=20)
    for pod in (new, old):
        for _ in range(stock):
            make_agent_process(pod), make_room()
    return new, old


def version_of(session: VoiceSession) -> str:
    return session.agent_process.pod.version if session.agent_process else ""
