"""Changing Daily's key as docs/deploy.md says: calls go on, callers are told to come again, nothing is lost."""

from typing import Any

import pytest

from leads.models import LeadStatus
from pools.daily.account import DailyAccess, daily_client
from pools.daily.tokens import fingerprint
from pools.models import DailyAccount, Pod
from pools.operators import steering
from pools.sessions.claims import PoolExhausted
from tests.support.daily_sandbox import SandboxRefused
from tests.support.make import make_lead
from tests.support.service import call_in_progress, connect_lead, is_full, run_until, together

pytestmark = pytest.mark.usefixtures("transactional_db")

NEW_KEY = "a-new-key-not-a-secret-0123456789abcdef"


def restart_the_api(settings: Any, key: str) -> None:
    settings.DAILY_API_KEY = key
    daily_client.cache_clear()


def test_the_key_is_changed_without_cutting_a_call_or_losing_a_lead(pods, sandbox, settings):
    old = pods.start_full()
    call = call_in_progress(old, sandbox)
    former = call.connected.token

    for pod in Pod.objects.taking():
        steering.drain(pod, by="ann")
    sandbox.change_key(NEW_KEY)
    with pytest.raises(SandboxRefused, match="not-allowed"):
        sandbox.join(call.room_name, former)  # what was signed with the old key admits nobody any more
    lead = make_lead()
    with pytest.raises(PoolExhausted):
        connect_lead(sandbox, lead)
    lead.refresh_from_db()
    assert lead.status == LeadStatus.BACKLOG

    restart_the_api(settings, NEW_KEY)
    assert DailyAccess.read().signer is None, "the row is about the old key"
    new = pods.start()
    run_until(new, lambda: is_full(new))
    assert DailyAccount.objects.get().key_fingerprint == fingerprint(NEW_KEY)
    assert DailyAccess.read().signer is not None
    second = connect_lead(sandbox, lead)
    run_until(new, second.bot_has_joined)
    assert second.join() and second.process.pod == new.pod

    old.run_once(0)
    assert call.is_active() and len(call.people()) == 2
    second.hang_up()
    gone = together(lambda: second.session.room.deleted_at is not None, old)
    run_until(new, gone)  # the pod that has the key does it, though the older one, which has not, still drains
    assert second.room_name not in sandbox.rooms() and call.is_active()
    call.hang_up()
    run_until(old, call.is_over)
    assert call.session.end_reason == "caller_left"
    run_until(new, together(lambda: call.session.room.deleted_at is not None, old))
    assert call.room_name not in sandbox.rooms()
    old.drain(5)
    run_until(old, lambda: old.finished)
    pods.close(old)


def test_an_api_that_has_the_new_key_before_the_pods_makes_tokens_that_admit(pods, sandbox, settings):
    """The row is about the old key: until pods have the new one, each room is made for its call, tokens with it."""
    old = pods.start_full()
    sandbox.change_key(NEW_KEY)
    restart_the_api(settings, NEW_KEY)
    call = connect_lead(sandbox)
    assert call.session.start_kind == "partial" and call.session.room_miss
    assert call.join()
    old.run_once(0)


@pytest.mark.parametrize("key", ["short", 7, "schlüssel-mit-umlaut-und-lang"])
def test_the_sandbox_refuses_what_is_no_key(sandbox, key):
    with pytest.raises(SandboxRefused, match="at least 16 ASCII characters"):
        sandbox.change_key(key)
    assert sandbox.rooms() == []
