"""What becomes of a call, every process real: Daily tells that the caller has gone, whoever pushed the lead is told how
it ended, and can have the recording."""

import json
from pathlib import Path

import requests

from leads.models import WebhookDelivery
from leads.webhooks import signing
from pools.models import VoiceSession
from tests.support.api import CONNECT
from tests.support.daily_sandbox import Sandbox
from tests.support.http_receiver import running_receiver
from tests.support.programs import free_port
from tests.support.waiting import wait_until
from tests.support.whole_service import running_service

KEY = "a key for the webhooks of this test"
STAYS = """
import asyncio
from pools.agent import report

async def bot(args):
    report(outcome="CONFIRMED", transcript=[{"role": "user", "content": "yes"}])
    await asyncio.Event().wait()
"""


def test_a_call_ends_by_dailys_webhook_and_is_reported_with_its_recording(
    transactional_db: None, sandbox: Sandbox, tmp_path: Path
) -> None:
    (tmp_path / "stays.py").write_text(STAYS)
    port = free_port()
    variables = {
        "PORT": str(port),
        "VOICE_AGENT_BOT": "stays",
        "VOICE_AGENT_BOT_DIR": str(tmp_path),
        "PUBLIC_URL": f"http://127.0.0.1:{port}",
        "CALLER_RETURN_TIMEOUT": "1",
        "ENABLE_AUTOMATIC_DAILY_RECORDING": "on",
        "REPORTING_WEBHOOK_KEYS": KEY,
        "REPORTING_WEBHOOK_NETWORKS": "127.0.0.0/8",
    }
    with running_receiver() as receiver, running_service(sandbox, tmp_path, **variables) as service:
        wait_until(lambda: sandbox.call("GET", "/webhooks").json(), 60)  # it may have to be tried again
        lead_id = service.push(reporting_webhook_url=f"{receiver.url}/hook")
        connected = service.post(CONNECT, {"lead_id": lead_id}).json()
        room = connected["room_url"].rpartition("/")[2]
        wait_until(lambda: sandbox.participants(room))
        sandbox.leave(room, sandbox.join(room, connected["token"]))
        (told,) = wait_until(lambda: receiver.received, 30)
        body = json.loads(told.body)
        assert (body["leadId"], body["outcome"], body["callSid"]) == (lead_id, "CONFIRMED", room)
        assert body["transcription"] == [{"role": "user", "content": "yes"}]
        event_id, timestamp = told.headers["webhook-id"], int(told.headers["webhook-timestamp"])
        expected = signing.signature(signing.secret_of("acme", KEY), event_id, timestamp, told.body)
        assert told.headers["webhook-signature"] == expected
        assert VoiceSession.objects.get(uuid=connected["session_id"]).end_reason == "caller_left"
        wait_until(lambda: WebhookDelivery.objects.get().status == "delivered")
        file = requests.get(body["recordingUrl"], headers=service.headers, timeout=10)
        assert (file.status_code, file.headers["Content-Type"], file.content[4:8]) == (200, "audio/mp4", b"ftyp")
