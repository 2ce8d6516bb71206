"""How a voice session ends: the words of the glossary. What is none of them (whatever wrote it) is shown as `other`."""

BODY_TOO_LARGE = "body_too_large"
PREJOINED_PAIR_GIVEN_UP = "prejoined_pair_given_up"
PREJOINED_PAIR_LOST = "prejoined_pair_lost"
END_REASONS = (
    "caller_left",
    "bot_ended",
    "caller_never_joined",
    "phone_busy",
    "phone_no_answer",
    "phone_failed",
    "number_refused",
    "dial_refused",
    "idle_timeout",
    "session_limit",
    "ejected",
    "bot_error",
    "join_failed",
    "room_lost",
    "agent_lost",
    "supervisor_lost",
    "ended_by_operator",
    "pod_stopped",
    "no_meeting_token",
    BODY_TOO_LARGE,
    "not_started",
    PREJOINED_PAIR_GIVEN_UP,
    PREJOINED_PAIR_LOST,
)

# How sessions end that one of our own processes, pods or bots has lost.
OUR_FAULT = ("agent_lost", "supervisor_lost", "bot_error", "join_failed", "no_meeting_token", "not_started")

# How pre-joined pairs end that nobody has claimed: they were no calls.
NO_CALL = (PREJOINED_PAIR_GIVEN_UP, PREJOINED_PAIR_LOST)
