"""Our webhook at Daily: there, active, and told of the events that we take. Looked at now and then by one pod.

Only ours is touched: the one with our address, and those that are signed with our key but go where we were before.
"""

import logging
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from pools.daily import budget
from pools.daily.client import DailyClient, Webhook
from pools.daily.errors import DailyError
from pools.daily.webhooks import EVENT_TYPES, webhook_key
from pools.http_calls import Submit
from pools.models import DailyAccount
from pools.supervisor_config import SupervisorConfig

logger = logging.getLogger(__name__)

LOOK_S = 300.0
RETRY_S = 30.0  # the API that has to answer Daily's test may still be starting
MAX_CALLS = 4


@dataclass(frozen=True)
class Wanted:
    url: str
    key: str = field(repr=False)


def mend(client: DailyClient, wanted: Wanted) -> str:
    """Network only. Returns what it has done. Raises DailyError."""
    webhooks = client.webhooks()
    for former in webhooks:
        if former.hmac == wanted.key and former.url != wanted.url:
            client.delete_webhook(former)
    ours = next((webhook for webhook in webhooks if webhook.url == wanted.url), None)
    if ours is None:
        client.create_webhook(wanted.url, EVENT_TYPES, wanted.key)
        return "created"
    if not is_right(ours, wanted):
        client.update_webhook(ours, EVENT_TYPES, wanted.key)
        return "updated" if ours.active else "activated"
    return ""


def is_right(webhook: Webhook, wanted: Wanted) -> bool:
    return webhook.active and webhook.event_types == EVENT_TYPES and webhook.hmac == wanted.key


class WebhookKeeper:
    def __init__(self, config: SupervisorConfig, client: DailyClient, submit: Submit) -> None:
        self._client = client
        self._submit = submit
        self._wanted = Wanted(config.webhook_url, webhook_key(client.api_key, config.room_prefix))
        self._due = 0.0
        self._asked = False
        self._answer: tuple[str, DailyError | None] | None = None

    def tend(self, now: float) -> None:
        if not self._wanted.url or self._asked or now < self._due:
            return
        if not budget.take(budget.Group.GENERAL, budget.Priority.CLEAN_UP, MAX_CALLS):
            return
        self._asked = True

        def done(what: str | None, error: DailyError | None) -> None:
            self._asked = False
            self._due = now + (RETRY_S if error else LOOK_S)
            self._answer = (what or "", error)

        self._submit(lambda: mend(self._client, self._wanted), done)

    def record(self) -> None:
        """Write what has come of it."""
        if self._answer is None:
            return
        what, error = self._answer
        if error:
            logger.warning('event=daily_webhook_failed problem="%s"', error)
            values: dict[str, Any] = {"webhook_trouble": str(error)[:500]}
        else:
            values = {"webhook_trouble": "", "webhook_active_at": datetime.now(UTC)}
        if what:
            logger.info("event=daily_webhook_%s url=%s", what, self._wanted.url)
        DailyAccount.objects.update_or_create(pk=1, defaults=values)
        self._answer = None
