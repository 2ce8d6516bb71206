"""Asking the API in tests, and seeing that a refused request has written nothing."""

import json
from typing import Any

from django.apps import apps
from django.test import Client

from access.models import RateAllowance

LEADS = "/agent/voice/breeze-buddy/leads"
UNKNOWN = "11111111-1111-4111-8111-111111111111"  # the id of nothing
BULK = f"{LEADS}/bulk"
ABORT = "/agent/voice/breeze-buddy/lead/abort"
TEMPLATES = "/agent/voice/breeze-buddy/templates"
AUTOMATIC = "/agent/voice/automatic"
CONNECT = "/agent/voice/breeze-buddy/connect"
POOL_STATUS = "/agent/voice/automatic/pool/status"
ROOM_POOL_STATUS = "/agent/voice/automatic/pool/rooms/status"


def post(path: str, body: Any, headers: dict[str, str] | None = None, content_type: str = "application/json") -> Any:
    """As a client over the wire would; `bytes` go as they are. What the server fails at becomes its 500 answer."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Client(raise_request_exception=False).generic("POST", path, content, content_type, headers=headers)


def patch(path: str, body: Any, headers: dict[str, str] | None = None) -> Any:
    client = Client(raise_request_exception=False)
    return client.generic("PATCH", path, json.dumps(body), "application/json", headers=headers)


def delete(path: str, headers: dict[str, str] | None = None) -> Any:
    return Client(raise_request_exception=False).delete(path, headers=headers)


def get(path: str, headers: dict[str, str] | None = None) -> Any:
    return Client(raise_request_exception=False).get(path, headers=headers)


def lead_body(**values: Any) -> dict[str, Any]:
    """A lead that can be pushed where a template `demo` of reseller `acme` exists. A value of None leaves it out."""
    body = {
        "request_id": "order-1",
        "template": "demo",
        "reseller_id": "acme",
        "payload": {"customer_name": "Asha"},
        "execution_mode": "DAILY",
        **values,
    }
    return {name: value for name, value in body.items() if value is not None}


def rows() -> dict[str, list[Any]]:
    """All rows of our own tables, to be compared with later; but for the counts of the rates, which every try moves."""
    models: list[Any] = [
        model for app in ("access", "pools", "leads") for model in apps.get_app_config(app).get_models()
    ]
    return {
        model.__name__: list(model.objects.order_by("pk").values()) for model in models if model is not RateAllowance
    }


def check_problem(response: Any, status: int) -> Any:
    """The error has the promised shape; returns its `detail`."""
    assert response.status_code == status, response.content[:500]
    assert response["Content-Type"] == "application/json"
    detail = json.loads(response.content)["detail"]
    if status == 422:
        assert detail
        for problem in detail:
            assert set(problem) == {"loc", "msg", "type"}
            assert isinstance(problem["loc"], list) and isinstance(problem["msg"], str)
    else:
        assert isinstance(detail, str) and detail
    return detail
