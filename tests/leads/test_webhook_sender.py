"""Sending: what is due goes out signed, at least once, until it is taken or a day is over."""

import json
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from typing import Any

import pytest

from leads.models import DeliveryStatus, WebhookDelivery
from leads.webhooks import signing
from leads.webhooks.addresses import Destinations
from leads.webhooks.scheduling import LONGEST_PAUSE_S, PAUSE_S, PER_HOST, HangingHosts, share
from leads.webhooks.sender import THREADS, SenderConfig, WebhookSender, forget_old
from pools.guards import Guards
from pools.models import Pod
from pools.supervisor.background_tasks import Turn
from tests.support.http_receiver import Answer, Receiver, running_receiver
from tests.support.make import make_lead
from tests.support.waiting import wait_until

KEYS = ("new key of the test", "old key of the test")
HERE = Destinations((ip_network("127.0.0.0/8"),))


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with running_receiver() as receiver:
        yield receiver


class Driven:
    """A sender whose loop the test turns. `draw` 0: the shortest wait."""

    def __init__(self, destinations: Destinations = HERE) -> None:
        self.sender = WebhookSender(SenderConfig(KEYS, destinations, retention_days=30), draw=lambda: 0.0)

    def turn(self) -> None:
        now = time.monotonic()
        self.sender.receive(now)
        self.sender.record(now)
        self.sender.step(Turn(Pod(), now, woken=False, draining=False, guards=Guards()))

    def until(self, condition: Callable[[], object]) -> None:
        def so() -> object:
            self.turn()
            return condition()

        wait_until(so)


@pytest.fixture
def driven(db: None) -> Iterator[Driven]:
    driven = Driven()
    yield driven
    driven.sender.close()


def make_delivery(url: str, **values: Any) -> WebhookDelivery:
    return WebhookDelivery.objects.create(
        **{
            "lead": make_lead("FINISHED"),
            "url": url,
            "host": url.partition("//")[2].partition("/")[0].partition(":")[0],
            "body": '{"orderId":"order-1"}',
            "give_up_at": datetime.now(UTC) + timedelta(days=1),
            **values,
        }
    )


def again(delivery: WebhookDelivery) -> WebhookDelivery:
    delivery.refresh_from_db()
    return delivery


def make_due(delivery: WebhookDelivery) -> None:
    """As if the wait were over."""
    WebhookDelivery.objects.filter(pk=delivery.pk).update(next_attempt_at=datetime.now(UTC) - timedelta(seconds=1))


def test_an_event_is_sent_signed_with_every_key(driven, receiver):
    delivery = make_delivery(f"{receiver.url}/hook?key=1")
    driven.until(lambda: again(delivery).status == DeliveryStatus.DELIVERED)
    (one,) = receiver.received
    secrets = [signing.secret_of("acme", key) for key in KEYS]
    timestamp = int(one.headers["webhook-timestamp"])
    assert one.path == "/hook?key=1" and json.loads(one.body) == {"orderId": "order-1"}
    assert one.headers["content-type"] == "application/json"
    assert one.headers["webhook-id"] == str(delivery.event_id)
    expected = [signing.signature(secret, str(delivery.event_id), timestamp, one.body) for secret in secrets]
    assert one.headers["webhook-signature"].split() == expected
    assert (delivery.attempts, delivery.last_status, delivery.last_problem) == (1, 200, "")


def test_no_line_of_the_log_holds_more_of_the_address_than_its_host(driven, receiver, caplog):
    caplog.set_level(logging.DEBUG)
    receiver.answer = lambda received: Answer(204 if "good" in received.path else 410)
    good, bad = (make_delivery(f"{receiver.url}/{which}-path?key=secret-of-theirs") for which in ("good", "bad"))
    driven.until(lambda: again(good).ended_at and again(bad).ended_at)
    assert "event=webhook_delivered" in caplog.text and "event=webhook_given_up" in caplog.text
    assert "secret-of-theirs" not in caplog.text and "-path" not in caplog.text


def test_one_that_fails_is_tried_again_with_the_same_id_and_body(driven, receiver):
    receiver.answer = lambda received: Answer(500)
    delivery = make_delivery(receiver.url)
    driven.until(lambda: again(delivery).last_status == 500)
    assert delivery.status == DeliveryStatus.PENDING and delivery.last_problem == "answered 500"
    assert delivery.next_attempt_at > datetime.now(UTC)
    receiver.answer = lambda received: Answer(204)
    make_due(delivery)
    driven.until(lambda: again(delivery).status == DeliveryStatus.DELIVERED)
    assert (delivery.attempts, delivery.last_status) == (2, 204)
    first, second = receiver.received
    assert (first.body, first.headers["webhook-id"]) == (second.body, second.headers["webhook-id"])


def test_a_wait_that_the_receiver_asks_for_is_kept(driven, receiver):
    receiver.answer = lambda received: Answer(429, {"Retry-After": "600"})
    delivery = make_delivery(receiver.url)
    driven.until(lambda: again(delivery).last_status == 429)
    assert delivery.next_attempt_at > datetime.now(UTC) + timedelta(seconds=500)


def test_after_a_day_it_is_given_up_and_can_be_sent_again(driven, receiver):
    receiver.answer = lambda received: Answer(500)
    delivery = make_delivery(receiver.url, give_up_at=datetime.now(UTC))
    driven.until(lambda: again(delivery).status == DeliveryStatus.GIVEN_UP)
    assert (delivery.last_status, delivery.last_problem) == (500, "answered 500")
    receiver.answer = lambda received: Answer()
    assert WebhookDelivery.objects.filter(pk=delivery.pk).resend() == 1
    driven.until(lambda: again(delivery).status == DeliveryStatus.DELIVERED)
    assert receiver.received[0].headers["webhook-id"] == receiver.received[-1].headers["webhook-id"]


@pytest.mark.parametrize(("status", "expected"), [(410, "given_up"), (404, "pending"), (301, "pending")])
def test_only_gone_is_taken_at_its_word(driven, receiver, status, expected):
    receiver.answer = lambda received: Answer(status)
    delivery = make_delivery(receiver.url)
    driven.until(lambda: again(delivery).last_status == status)
    assert delivery.status == expected


@pytest.mark.parametrize("url", ["https://169.254.169.254/latest", "http://127.0.0.1:1/", "https://[::1", "nonsense"])
def test_where_we_must_not_go_we_do_not_try(db, url):
    driven = Driven(Destinations())
    delivery = make_delivery(url)
    driven.until(lambda: again(delivery).status == DeliveryStatus.GIVEN_UP)
    assert delivery.last_problem.startswith("the address must") and delivery.last_status is None
    driven.sender.close()


def test_a_try_whose_outcome_is_never_told_is_made_again_when_its_lease_is_over(driven, receiver):
    """The pod has died in the middle of it."""
    delivery = make_delivery(receiver.url)
    delivery.begin()
    driven.turn()
    assert again(delivery).attempts == 1 and receiver.received == []
    make_due(delivery)
    driven.until(lambda: again(delivery).status == DeliveryStatus.DELIVERED)
    assert delivery.attempts == 2


def test_a_late_outcome_of_an_earlier_try_changes_nothing(db):
    delivery = make_delivery("https://hooks.example.com/")
    delivery.begin()
    late = WebhookDelivery.objects.get(pk=delivery.pk)
    WebhookDelivery.objects.get(pk=delivery.pk).begin()
    assert not late.delivered(200) and not late.give_up(500, "x") and not late.try_again_in(1, 500, "x")
    assert again(delivery).status == DeliveryStatus.PENDING


def test_a_host_that_hangs_does_not_hold_up_the_others(driven, receiver):
    release = threading.Event()
    receiver.answer = lambda received: Answer() if release.wait(20) else Answer(500)
    hanging = [make_delivery(f"http://127.0.0.2:{receiver.port}/") for _ in range(2)]
    for delivery in hanging:
        WebhookDelivery.objects.filter(pk=delivery.pk).update(url=receiver.url)
    hanging += [make_delivery(receiver.url, host="127.0.0.2") for _ in range(18)]
    with running_receiver() as quick:
        other = make_delivery(quick.url)
        driven.until(lambda: again(other).status == DeliveryStatus.DELIVERED)
        assert WebhookDelivery.objects.filter(host="127.0.0.2", attempts__gt=0).count() == PER_HOST
    release.set()
    driven.until(lambda: not WebhookDelivery.objects.pending().exists())
    assert len(receiver.received) == len(hanging)


def test_a_reseller_with_many_hosts_that_hang_leaves_threads_to_the_others(driven, receiver):
    release = threading.Event()
    receiver.answer = lambda received: Answer() if release.wait(20) else Answer(500)
    greedy = make_lead("FINISHED", reseller_id="greedy")
    for n in range(40):
        make_delivery(receiver.url, lead=greedy, host=f"{n}.example.com")
    driven.until(lambda: len(receiver.received) >= THREADS // 2)
    others = [make_lead("FINISHED", reseller_id=f"other-{n}") for n in range(3)]
    with running_receiver() as quick:
        events = [make_delivery(quick.url, lead=lead, host="quick.example.com") for lead in others]
        driven.until(lambda: all(again(event).status == DeliveryStatus.DELIVERED for event in events))
    assert WebhookDelivery.objects.filter(lead=greedy, attempts__gt=0).count() == THREADS // 2
    release.set()


def test_each_reseller_may_have_half_of_what_the_others_leave():
    sending: Counter[str] = Counter()
    for reseller in "abcde":
        while sending[reseller] < share(16, sending, reseller):
            sending[reseller] += 1
    assert [sending[reseller] for reseller in "abcde"] == [8, 4, 2, 1, 1]


def test_a_host_that_hangs_is_left_alone_for_longer_each_time_until_it_answers():
    hosts = HangingHosts()
    assert (hosts.hung("slow", 0), hosts.at_once("slow"), hosts.paused(0)) == (0, PER_HOST, [])
    assert hosts.hung("slow", 15) == PAUSE_S
    assert hosts.paused(15 + PAUSE_S - 1) == ["slow"] and hosts.paused(15 + PAUSE_S) == []
    assert hosts.at_once("slow") == 1
    assert [hosts.hung("slow", 100) for _ in range(3)] == [2 * PAUSE_S, 4 * PAUSE_S, 8 * PAUSE_S]
    assert [hosts.hung("slow", 100) for _ in range(9)][-1] == LONGEST_PAUSE_S
    hosts.answered("slow")
    assert hosts.paused(100) == [] and hosts.at_once("slow") == PER_HOST


def test_events_for_a_host_that_hangs_wait_and_no_try_is_counted(driven, receiver):
    for _ in range(2):
        driven.sender._hanging.hung("127.0.0.1", time.monotonic())
    delivery, other = make_delivery(receiver.url), make_delivery(receiver.url, host="other.example.com")
    driven.until(lambda: again(other).status == DeliveryStatus.DELIVERED)
    assert again(delivery).attempts == 0
    driven.sender._hanging.answered("127.0.0.1")
    driven.until(lambda: again(delivery).status == DeliveryStatus.DELIVERED)


def test_what_is_over_is_forgotten_after_a_while_and_what_is_pending_never(db):
    long_ago = datetime.now(UTC) - timedelta(days=31)
    old = make_delivery("https://a.example/", status="delivered", ended_at=long_ago)
    given_up = make_delivery("https://a.example/", status="given_up", ended_at=long_ago)
    recent = make_delivery("https://a.example/", status="delivered", ended_at=datetime.now(UTC))
    pending = make_delivery("https://a.example/", created_at=long_ago)
    assert forget_old(0) == 0 and forget_old(30) == 2
    assert set(WebhookDelivery.objects.all()) == {recent, pending}
    assert not {old, given_up} & set(WebhookDelivery.objects.all())
