"""Renders the timeline of a session: a bar up to the first audio, to scale, then every step in words."""

from typing import Any

from django.template.loader import render_to_string
from django.utils.safestring import SafeString

from common.display import duration
from pools.models import VoiceSession
from pools.sessions.history import SessionHistory
from pools.sessions.timeline import Moment, Step

TONES = {
    Moment.REQUEST: "#94a3b8",
    Moment.ROOM_ASKED: "#f97316",
    Moment.CLAIM: "#0d9488",
    Moment.HANDOFF_FAILED: "#dc2626",
    Moment.PROCESS: "#eab308",
    Moment.HANDOFF: "#84cc16",
    Moment.ACKNOWLEDGED: "#06b6d4",
    Moment.BOT_JOINED: "#3b82f6",
    Moment.CALLER_JOINED: "#8b5cf6",
    Moment.FIRST_AUDIO: "#ec4899",
    Moment.END: "#64748b",
}
THE_START = set(Moment) - {Moment.END}


def timeline_of(session: VoiceSession) -> SafeString:
    history = SessionHistory.of(session)
    start = [_step(step) for step in history.steps if step.moment in THE_START]
    context = {
        "verdict": history.verdict,
        "misses": [miss.words for miss in history.misses],
        "failed": history.session.failed_handoffs,
        "bar": [step for step in start if step["ms"] > 0],
        "steps": [_step(step) for step in history.steps],
    }
    return render_to_string("dashboard/timeline.html", context)


def _step(step: Step) -> dict[str, Any]:
    name = step.moment.value.replace("_", " ")
    return {
        "name": name,
        "what": step.what,
        "tone": TONES.get(step.moment, "#94a3b8"),
        "ms": round(step.ms, 1),
        "took": duration(step.ms / 1000) if step.ms else "",
        "after": duration(step.end_ms / 1000),
    }
