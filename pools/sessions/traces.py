"""A session's timeline as an OpenTelemetry trace, sent when it has ended, if OTEL_EXPORTER_OTLP_ENDPOINT is set.

The trace's id is the session's, so that one leads to the other without a search. Spans are made from the rows
afterwards: nothing is measured twice and no caller waits. They go out in a thread of the process that ended the
session, a gunicorn worker or `runpools`; neither forks without exec, and the zygote and the agents never come here.
When the variable is not set, OpenTelemetry is not even imported.
"""

import atexit
import functools
import logging
import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.conf import settings

from pools.models import VoiceSession
from pools.sessions.history import SessionHistory

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

logger = logging.getLogger(__name__)

LOST = ("agent_lost", "supervisor_lost", "not_started", "no_meeting_token", "bot_error")


def send(session_pk: int) -> None:
    """The trace of a session that has ended; returns at once. Without an endpoint it does nothing."""
    if not settings.OTEL_EXPORTER_OTLP_ENDPOINT:
        return
    session = VoiceSession.objects.select_related("room", "agent_process__pod").get(pk=session_pk)
    for span in spans(SessionHistory.of(session)):
        _processor().on_end(span)


def flush() -> bool:
    """Wait until everything has gone out, at most for some seconds."""
    return _processor().force_flush(5000)


@functools.cache
def _processor() -> "BatchSpanProcessor":
    """Made at the first session that ends, so after gunicorn's fork."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    endpoint = settings.OTEL_EXPORTER_OTLP_ENDPOINT.rstrip("/")
    processor = BatchSpanProcessor(OTLPSpanExporter(endpoint=f"{endpoint}/v1/traces"), schedule_delay_millis=1000)
    atexit.register(processor.shutdown)
    logger.info("event=traces_on endpoint=%s", endpoint)
    return processor


@functools.cache
def _resource() -> Any:
    from opentelemetry.sdk.resources import Resource

    return Resource.create({"service.name": "breeze-buddy-pools"})  # OTEL_SERVICE_NAME and the like win


def spans(history: SessionHistory) -> "Sequence[ReadableSpan]":
    """The session, and each step of its timeline as a child of it."""
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

    session, steps = history.session, history.steps

    def context(number: int) -> SpanContext:
        span_id = uuid.uuid5(session.uuid, str(number)).int >> 64
        return SpanContext(session.uuid.int, span_id, is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED))

    def span(number: int, name: str, start: int, end: int, attributes: dict[str, Any], status: Status) -> ReadableSpan:
        return ReadableSpan(
            name=name,
            context=context(number),
            parent=context(0) if number else None,
            resource=_resource(),
            attributes={key: value for key, value in attributes.items() if value not in (None, "")},
            kind=SpanKind.INTERNAL if number else SpanKind.SERVER,
            status=status,
            start_time=start,
            end_time=end,
        )

    began = _nanoseconds(steps[0].at)
    failed = session.end_reason in LOST
    status = Status(StatusCode.ERROR, session.end_reason) if failed else Status(StatusCode.OK)
    whole = span(0, "voice session", began, began + _offset(steps[-1].end_ms), about(history), status)
    parts = [
        span(
            number,
            step.moment.value,
            began + _offset(step.start_ms),
            began + _offset(step.end_ms),
            {"breeze_buddy.what": step.what},
            Status(StatusCode.UNSET),
        )
        for number, step in enumerate(steps[1:], start=1)
    ]
    return [whole, *parts]


def about(history: SessionHistory) -> dict[str, Any]:
    """Ids, how it started and how it ended; nothing that a caller or a bot has said."""
    session = history.session
    process = session.agent_process
    return {
        "breeze_buddy.session_id": str(session.uuid),
        "breeze_buddy.lead_id": str(session.reference or ""),
        "breeze_buddy.pod": process.pod.name if process else "",
        "breeze_buddy.agent": str(process.uuid) if process else "",
        "breeze_buddy.start": session.start_kind,
        "breeze_buddy.agent_miss": session.agent_miss,
        "breeze_buddy.room_miss": session.room_miss,
        "breeze_buddy.attempt": session.attempt,
        "breeze_buddy.end_reason": session.end_reason,
        "breeze_buddy.verdict": history.verdict,
    }


def _nanoseconds(at: datetime) -> int:
    return int(at.timestamp() * 1e9)


def _offset(ms: float) -> int:
    return int(ms * 1e6)
