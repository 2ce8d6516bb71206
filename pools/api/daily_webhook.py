"""`POST /webhooks/daily`: receives events from Daily, which signs them with our key."""

import logging
import time

from django.conf import settings
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from pools.daily import webhooks
from pools.sessions import daily_events

logger = logging.getLogger(__name__)


@extend_schema(exclude=True)  # Daily is its only caller
class DailyWebhookView(APIView):
    """Answers 200 to everything that Daily has signed: Daily stops sending to an address that answers otherwise."""

    authentication_classes: list[type] = []
    permission_classes: list[type] = []

    def post(self, request: Request) -> Response:
        body = request.body
        if webhooks.is_test(body):
            return Response({"status": "ok"})
        self._check(request, body)
        event = webhooks.read_event(body)
        if event is None:
            logger.warning("event=daily_event_not_understood bytes=%d", len(body))
            return Response({"status": "ignored"})
        new = daily_events.receive(event)
        return Response({"status": "ok" if new else "duplicate"})

    def _check(self, request: Request, body: bytes) -> None:
        if not settings.DAILY_API_KEY:
            raise PermissionDenied("There is no Daily account here")
        key = webhooks.webhook_key(settings.DAILY_API_KEY, settings.DAILY_ROOM_PREFIX)
        timestamp, signature = (request.headers.get(f"X-Webhook-{name}", "") for name in ("Timestamp", "Signature"))
        try:
            webhooks.check_signature(key, timestamp, signature, body, time.time())
        except webhooks.NotFromDaily as problem:
            logger.warning('event=daily_event_refused problem="%s"', problem)
            raise PermissionDenied(str(problem)) from None
