"""Daily's `/webhooks` endpoints."""

from typing import Any

from devtools.sandbox.routing import Call, Route
from devtools.sandbox.webhooks import Webhook


def _shown(call: Call, webhook: Webhook) -> dict[str, Any]:
    return webhook.as_json(call.world.domain_id)


async def create_webhook(call: Call) -> Any:
    return _shown(call, await call.sender.create(call.json()))


def list_webhooks(call: Call) -> Any:
    return [_shown(call, webhook) for webhook in call.world.webhooks.all()]


def get_webhook(call: Call) -> Any:
    return _shown(call, call.world.webhooks.get(call.params["uuid"]))


async def update_webhook(call: Call) -> Any:
    return _shown(call, await call.sender.update(call.params["uuid"], call.json()))


def delete_webhook(call: Call) -> Any:
    call.world.webhooks.remove(call.params["uuid"])
    return {"deleted": True}


ROUTES = (
    Route("POST", "/webhooks", create_webhook),
    Route("GET", "/webhooks", list_webhooks),
    Route("GET", "/webhooks/{uuid}", get_webhook),
    Route("POST", "/webhooks/{uuid}", update_webhook),
    Route("DELETE", "/webhooks/{uuid}", delete_webhook),
)
