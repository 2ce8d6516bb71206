"""The default bot without a language model: it notices that the caller speaks, and says for how long.

There is no speech recognition in here. Voice activity and the end of a turn are the real models', so that pauses,
interruptions and the time to an answer are those of a real conversation.
"""

import time
from collections.abc import Callable

from pipecat.frames.frames import (
    EndWorkerFrame,
    Frame,
    InterruptionFrame,
    TTSSpeakFrame,
    UserStoppedSpeakingFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor

TURNS = 3  # of the caller, after which the bot says goodbye
EXPLANATION = "There is no speech recognition here, but I hear you. Say something, and I tell you how long I listened."
STILL_THERE = "Are you still there?"
GOODBYE = "Thank you for calling. Goodbye!"


class Listener(FrameProcessor):
    """Takes the place of the language model: answers each turn of the caller, and after some of them says goodbye.

    `heard` is told of each turn as a line for the transcript.
    """

    def __init__(self, heard: Callable[[str], None]) -> None:
        super().__init__()
        self._heard = heard
        self._speaking_since: float | None = None
        self._seconds = 0.0
        self._turns = 0
        self._asked = False

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        await self.push_frame(frame, direction)
        if direction is not FrameDirection.DOWNSTREAM:
            return
        if isinstance(frame, VADUserStartedSpeakingFrame):
            self._speaking_since = time.monotonic() - frame.start_secs
        elif isinstance(frame, VADUserStoppedSpeakingFrame) and self._speaking_since is not None:
            self._seconds += max(0.0, time.monotonic() - frame.stop_secs - self._speaking_since)
            self._speaking_since = None
        elif isinstance(frame, UserStoppedSpeakingFrame):
            await self._answer()
        elif isinstance(frame, InterruptionFrame):
            self._asked = False

    async def caller_is_silent(self) -> None:
        """Handle a long silence: ask once whether anybody is there, then say goodbye."""
        if self._asked:
            await self._say_goodbye("")
        else:
            self._asked = True
            await self.push_frame(TTSSpeakFrame(STILL_THERE))

    async def _answer(self) -> None:
        seconds, self._seconds = self._seconds, 0.0
        if seconds <= 0:
            return
        self._turns += 1
        self._heard(f"(spoke for {seconds:.1f} seconds)")
        answer = answer_to(seconds)
        if self._turns >= TURNS:
            await self._say_goodbye(answer)
        else:
            await self.push_frame(TTSSpeakFrame(answer))

    async def _say_goodbye(self, before: str) -> None:
        await self.push_frame(TTSSpeakFrame(f"{before} {GOODBYE}".strip()))
        await self.push_frame(EndWorkerFrame())


def answer_to(seconds: float) -> str:
    return f"I listened to you for {seconds:.1f} seconds."
