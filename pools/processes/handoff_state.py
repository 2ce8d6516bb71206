"""How far the hand-off of a session to a process has come: a state machine in memory, with all its transitions.

    BOUND -> STARTED -> ACKNOWLEDGED -> RUNNING -> STOPPING -> REPORTED -> OVER

A hand-off only moves to the right, and may leave stages out: a bot that ends by itself is never STOPPING. Rows and
messages are other modules' business: `HandOffs` calls a transition after it has written, `AgentPool` after it has read.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import IntEnum

from pools.models import VoiceSession
from pools.protocol import CallerJoined, Ended, FirstAudio, Joined, Started


class Stage(IntEnum):
    BOUND = 1  # Start is to be written, as soon as the process is ready
    STARTED = 2  # Start is written; the process owes its acknowledgement
    ACKNOWLEDGED = 3  # Started has come; the session's row does not say so yet
    RUNNING = 4  # Go is written: the bot runs
    STOPPING = 5  # Stop is written: the bot is to end its session
    REPORTED = 6  # the process has reported the end; the session's row does not say so yet
    OVER = 7  # the end is in the session's row; the process is to exit


PROGRESS: dict[type[Joined | CallerJoined | FirstAudio], str] = {
    Joined: "bot_joined_at",
    CallerJoined: "caller_joined_at",
    FirstAudio: "first_audio_at",
}


@dataclass(eq=False)
class Handoff:
    """One attempt to hand a session to one process. Transitions are the methods; nothing else sets `stage`."""

    pk: int
    uuid: str
    attempt: int
    claimed_at: datetime
    before_claim_ms: float = 0.0
    start_kind: str = ""
    outbound: bool = False
    lead: str = ""
    unclaimed: bool = False  # a pre-joined pair, whose process has not been told of a claim
    stage: Stage = Stage.BOUND
    since: float = 0.0  # from when the deadline of this stage runs
    start_at: float = 0.0  # when Start was written
    went_at: float | None = (
        None  # when Go was written, or a pre-joined pair was claimed: the session's limit runs from here
    )
    joined: bool = False
    stop_reason: str = ""
    report: Ended | None = None
    unwritten: dict[str, datetime] = field(default_factory=dict)  # columns of the session, not yet in its row

    @classmethod
    def of(cls, session: VoiceSession) -> "Handoff":
        return cls(
            session.pk,
            str(session.uuid),
            session.attempt,
            session.created_at,
            before_claim_ms=session.before_claim_ms or 0.0,
            start_kind=session.start_kind,
            outbound=session.outbound,
            lead=str(session.reference or ""),
            unclaimed=session.unclaimed,
        )

    @property
    def told_to_go(self) -> bool:
        return self.went_at is not None

    # --- what we have done --------------------------------------------------------------------------------

    def start_written(self, at: float) -> None:
        if self._move(Stage.STARTED, at):
            self.start_at = at

    def go_written(self, now: float) -> None:
        if self._move(Stage.RUNNING, now):
            self.went_at = now

    def stop_asked(self, reason: str, now: float) -> bool:
        """Whether Stop is to be written: not twice, and not to a process that has reported."""
        if not self._move(Stage.STOPPING, now):
            return False
        self.stop_reason = reason
        return True

    def claimed(self, at: datetime, now: float) -> None:
        """The process of this pre-joined pair has been told of its claim: the call begins."""
        self.unclaimed, self.claimed_at = False, at
        if self.told_to_go:
            self.went_at = now

    def settled(self, now: float) -> None:
        """The end is in the row. A process that has reported has been leaving since then."""
        self._move(Stage.OVER, self.since if self.report else now)

    # --- what the process has said ------------------------------------------------------------------------

    def acknowledged(self, message: Started, now: float) -> None:
        """Only this attempt at this session counts."""
        if self.stage is Stage.STARTED and (message.session, message.attempt) == (self.uuid, self.attempt):
            self._move(Stage.ACKNOWLEDGED, now)

    def progressed(self, message: Joined | CallerJoined | FirstAudio) -> None:
        self.joined |= isinstance(message, Joined)
        self.unwritten.setdefault(PROGRESS[type(message)], datetime.now(UTC))

    def reported(self, message: Ended, now: float) -> None:
        """The first report counts. The time to exit runs from here, even if the end was in the row before."""
        if self.report is None:
            self.report = message
            self._move(Stage.REPORTED, now)
            self.since = now

    # --- time ---------------------------------------------------------------------------------------------

    def restart_deadline(self, now: float) -> None:
        """We were late ourselves: the process gets its time for the acknowledgement again."""
        if self.stage is Stage.STARTED:
            self.since = now

    def _move(self, stage: Stage, now: float) -> bool:
        """False: it is there already, or further."""
        if stage <= self.stage:
            return False
        self.stage, self.since = stage, now
        return True
