"""Traces: what a collector receives is the session's timeline; without an endpoint nothing is even imported."""

import gzip
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from pools.sessions import traces
from pools.sessions.ending import Result, end_session
from pools.sessions.timeline import Moment
from tests.support.make import make_pod, make_session
from tests.support.programs import PROJECT


class Collector:
    """An OTLP/HTTP receiver: keeps the spans that it is sent."""

    def __init__(self) -> None:
        self.spans: list[Any] = []
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                request = ExportTraceServiceRequest.FromString(body)
                collector.spans += [
                    span for of in request.resource_spans for scope in of.scope_spans for span in scope.spans
                ]
                self.send_response(200 if self.path == "/v1/traces" else 404)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """Nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def collector(settings) -> Iterator[Collector]:
    receiver = Collector()
    settings.OTEL_EXPORTER_OTLP_ENDPOINT = receiver.endpoint
    traces._processor.cache_clear()
    yield receiver
    traces._processor().shutdown()
    traces._processor.cache_clear()
    receiver.close()


def attributes(span: Any) -> dict[str, Any]:
    return {pair.key: pair.value.string_value or pair.value.int_value for pair in span.attributes}


@pytest.mark.django_db(transaction=True)
def test_a_session_that_ends_becomes_a_trace_with_a_span_for_each_step(collector):
    then = timezone.now() - timedelta(minutes=1)
    session = make_session(
        pod=make_pod("pod-a"),
        reference=uuid.uuid4(),
        before_claim_ms=6.0,
        agent_miss="burst",
        start_kind="partial",
        created_at=then,
        assigned_at=then,
        handed_off_at=then + timedelta(milliseconds=2),
        active_at=then + timedelta(milliseconds=5),
        bot_joined_at=then + timedelta(milliseconds=200),
        body={"payload": {"customer_mobile_number": "+919876543210"}},
    )
    end_session(session.pk, Result("agent_lost"))
    assert traces.flush()
    whole = next(span for span in collector.spans if span.name == "voice session")
    steps = [span for span in collector.spans if span is not whole]
    assert {span.trace_id for span in collector.spans} == {session.uuid.bytes}
    assert {span.parent_span_id for span in steps} == {whole.span_id}
    assert min(steps, key=lambda span: span.start_time_unix_nano).name == Moment.CLAIM
    assert {Moment.ACKNOWLEDGED, Moment.BOT_JOINED, Moment.END} <= {span.name for span in steps}
    assert min(span.start_time_unix_nano for span in steps) == whole.start_time_unix_nano
    assert max(span.end_time_unix_nano for span in steps) == whole.end_time_unix_nano
    told = attributes(whole)
    assert told["breeze_buddy.pod"] == "pod-a" and told["breeze_buddy.lead_id"] == str(session.reference)
    assert told["breeze_buddy.agent_miss"] == "burst" and whole.status.code == 2
    assert "9876543210" not in str(collector.spans)


@pytest.mark.django_db(transaction=True)
def test_an_end_that_is_rolled_back_sends_nothing(collector):
    session = make_session()
    with transaction.atomic():
        end_session(session.pk, Result("bot_ended"))
        transaction.set_rollback(True)
    assert traces.flush()
    assert collector.spans == []


def test_without_an_endpoint_opentelemetry_is_not_even_imported():
    program = (
        "import os, sys, django\nos.environ['DJANGO_SETTINGS_MODULE'] = 'breezebuddy.settings'\ndjango.setup()\n"
        "import pools.sessions.traces, pools.supervisor.loop, leads.urls\npools.sessions.traces.send(1)\n"
        "sys.exit(any(name.startswith('opentelemetry') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", program], cwd=PROJECT, timeout=60, check=False).returncode == 0
