"""`/talk`: a page with one button that pushes a `demo` lead, connects it and takes the visitor into the call.

For development only: everybody who can reach the page can start sessions. `make run` turns it on.
"""

import logging
import uuid
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods
from rest_framework.exceptions import NotFound

from access.models import Role
from access.scope import Scope
from common.arrival import arrival_of
from leads.connect import Connected, connect
from leads.models import ExecutionMode
from leads.push import push
from leads.visibility import leads_of
from pools.sessions.claims import PoolExhausted

DEMO = "demo"
LONGEST_NAME = 60
events = logging.getLogger("pools.events")
VISITOR = Scope(Role.MERCHANT, frozenset({DEMO}), frozenset({DEMO}), "the talk page")


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def talk(request: HttpRequest) -> HttpResponse:
    if not settings.TALK_PAGE:
        raise Http404
    if request.method != "POST":
        return _page(request)
    try:
        connected = _connect(request)
    except PoolExhausted as error:
        events.warning("event=connect_refused reason=%r page=talk", error.reason)
        return _page(request, f"There is no room or bot for you just now: {error.reason}. Try again.", status=503)
    except NotFound:
        return _page(request, "The template `demo` is missing: `manage.py seeddemo` makes it.", status=404)
    # Daily's own pages take the token from the URL. It opens this one room, for this one call.
    return redirect(f"{connected.room_url}?{urlencode({'t': connected.token, 'autojoin': 1})}")


def _connect(request: HttpRequest) -> Connected:
    name = request.POST.get("name", "").strip()[:LONGEST_NAME]
    values: dict[str, Any] = {
        "request_id": f"talk-{uuid.uuid4().hex[:8]}",
        "template": DEMO,
        "reseller_id": DEMO,
        "merchant_id": DEMO,
        "execution_mode": ExecutionMode.DAILY,
        "payload": {"customer_name": name or "there"},
        "is_playground": False,
    }
    lead = push(VISITOR, values)
    return connect(
        lead_uuid=lead.uuid, leads=leads_of(VISITOR), holder=VISITOR.holder, arrived=arrival_of(request.META)
    )


def _page(request: HttpRequest, problem: str = "", status: int = 200) -> HttpResponse:
    return render(request, "leads/talk.html", {"problem": problem}, status=status)
