"""Sends due webhooks. Runs in the supervisor's loop; HTTP is done in threads, rows are used in the loop only.

Any pod sends any event (SKIP LOCKED). A try is counted before it is made, with a lease: if the pod dies meanwhile, the
row is due again when the lease is over. So an event arrives at least once, seldom twice.
"""

import logging
import random
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from math import inf
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models.functions import Now

from leads.models import DeliveryStatus, WebhookDelivery
from leads.webhooks import scheduling, signing
from leads.webhooks.addresses import Destinations
from leads.webhooks.post import Posted, post
from leads.webhooks.scheduling import HANGING_S, HangingHosts, share
from pools.guards import one_by_one
from pools.http_calls import HttpCalls
from pools.supervisor.background_tasks import Turn

logger = logging.getLogger(__name__)

THREADS = 16
LOOK_S = 0.1
LOOK_SHARE = 0.05  # of the loop's time at most: with many events that must wait, a poll takes a while
TIDY_S = 60.0
BATCH = 1000


@dataclass(frozen=True)
class SenderConfig:
    """`keys`: secrets are derived from these, the newest first. `retention_days`: how long ended deliveries are kept; 0
    keeps them for ever."""

    keys: tuple[str, ...] = field(repr=False)
    destinations: Destinations
    retention_days: int

    @classmethod
    def from_settings(cls) -> "SenderConfig":
        return cls(signing.keys(), Destinations.from_settings(), settings.RETENTION_DAYS)


class WebhookSender:
    """A background task of the supervisor (pools.supervisor.background_tasks.BackgroundTask)."""

    def __init__(self, config: SenderConfig, draw: Callable[[], float] = random.random) -> None:
        self._config = config
        self._draw = draw
        self._calls = HttpCalls(THREADS, name="webhook")
        self._sending: dict[int, WebhookDelivery] = {}
        self._hanging = HangingHosts()
        self._answers: deque[tuple[WebhookDelivery, Posted]] = deque()
        self._look_due = self._tidy_due = 0.0

    @property
    def due(self) -> float:
        """Never: the loop's own poll is often enough for webhooks."""
        return inf

    def fileno(self) -> int:
        return self._calls.fileno()

    def receive(self, now: float) -> None:
        self._calls.collect()

    def record(self, now: float) -> bool:
        """Record the results of finished tries. Returns whether there were any."""
        changed = bool(self._answers)
        one_by_one(self._answers, lambda answer: self._record(*answer), "writing down a webhook")
        if changed:
            self._look_due = 0.0
        return changed

    def step(self, turn: Turn) -> None:
        now = turn.now
        if now < self._look_due:
            return
        began = time.monotonic()
        due = self._take(now)
        self._look_due = now + max(LOOK_S, (time.monotonic() - began) / LOOK_SHARE)
        for delivery in due:
            turn.guards.run(f"sending webhook {delivery.event_id}", partial(self._send, delivery))
        if now >= self._tidy_due:
            self._tidy_due = now + TIDY_S
            if forget_old(self._config.retention_days) == BATCH:
                self._tidy_due = now

    def close(self) -> None:
        """Stop without waiting for tries under way: their leases run out, and they are repeated."""
        self._calls.close()

    # --- sending ------------------------------------------------------------------------------------------

    def _take(self, now: float) -> list[WebhookDelivery]:
        free = THREADS - len(self._sending)
        if free <= 0:
            return []
        hosts = Counter(delivery.host for delivery in self._sending.values())
        resellers = Counter(delivery.lead.reseller_id for delivery in self._sending.values())
        waiting_hosts = [host for host, sending in hosts.items() if sending >= self._hanging.at_once(host)]
        waiting_resellers = [one for one, sending in resellers.items() if sending >= share(THREADS, resellers, one)]
        with transaction.atomic():
            due = (
                WebhookDelivery.objects.due()
                .exclude(host__in=[*waiting_hosts, *self._hanging.paused(now)])
                .exclude(lead__reseller_id__in=waiting_resellers)
                .select_related("lead")
                .select_for_update(skip_locked=True, of=("self",))
                .order_by("next_attempt_at")[:free]
            )
            taken = []
            for delivery in due:
                host, reseller = delivery.host, delivery.lead.reseller_id
                if hosts[host] < self._hanging.at_once(host) and resellers[reseller] < share(
                    THREADS, resellers, reseller
                ):
                    hosts[host] += 1
                    resellers[reseller] += 1
                    delivery.begin()
                    taken.append(delivery)
        return taken

    def _send(self, delivery: WebhookDelivery) -> None:
        body, event_id = delivery.body.encode(), str(delivery.event_id)
        secrets = [signing.secret_of(delivery.lead.reseller_id, key) for key in self._config.keys]
        url, destinations = delivery.url, self._config.destinations
        began = time.monotonic()

        def job() -> Posted:
            headers = signing.headers(secrets, event_id, int(time.time()), body)
            return post(url, body, {"Content-Type": "application/json", **headers}, destinations)

        def done(posted: Posted | None, error: Any) -> None:
            self._sending.pop(delivery.pk, None)
            self._judge_host(delivery.host, posted, began)
            self._answers.append((delivery, posted or Posted(None, "it could not be sent")))

        self._sending[delivery.pk] = delivery
        self._calls.submit(job, done)

    def _judge_host(self, host: str, posted: Posted | None, began: float) -> None:
        now = time.monotonic()
        if posted is not None and posted.status is not None:
            self._hanging.answered(host)
        elif now - began >= HANGING_S and (pause := self._hanging.hung(host, now)):
            logger.info("event=webhook_host_hangs host=%s paused_s=%.0f", host, pause)

    def _record(self, delivery: WebhookDelivery, posted: Posted) -> None:
        event, host, tries = delivery.event_id, delivery.host, delivery.attempts
        if posted.status is not None and scheduling.is_success(posted.status):
            delivery.delivered(posted.status)
            logger.info("event=webhook_delivered id=%s host=%s tries=%d", event, host, tries)
            return
        wait = scheduling.delay(tries, self._draw(), posted.retry_after)
        hopeless = posted.forbidden or posted.status == scheduling.GONE
        if not hopeless and delivery.try_again_in(wait, posted.status, posted.problem):
            logger.info(
                'event=webhook_failed id=%s host=%s tries=%d problem="%s" again_in_s=%.0f',
                *(event, host, tries, posted.problem, wait),
            )
        elif delivery.give_up(posted.status, posted.problem):
            logger.warning(
                'event=webhook_given_up id=%s host=%s tries=%d problem="%s"', event, host, tries, posted.problem
            )


def forget_old(days: int) -> int:
    """Delete one batch of deliveries that ended more than so many days ago; return how many. 0 days: keep all."""
    if days == 0:
        return 0
    old = WebhookDelivery.objects.exclude(status=DeliveryStatus.PENDING).filter(
        ended_at__lt=Now() - timedelta(days=days)
    )
    keys = list(old.order_by("ended_at").values_list("pk", flat=True)[:BATCH])
    WebhookDelivery.objects.filter(pk__in=keys).delete()
    return len(keys)
