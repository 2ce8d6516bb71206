"""Reports the conversation after every turn, so that a call that ends badly leaves a transcript too."""

from datetime import UTC, datetime
from typing import Any

from pipecat.frames.frames import (
    AggregatedTextFrame,
    CancelFrame,
    Frame,
    InterruptionFrame,
    TTSAudioRawFrame,
    TTSTextFrame,
)
from pipecat.processors.aggregators.llm_response_universal import LLMContextAggregatorPair
from pipecat.services.tts_service import TTSService

from pools.agent import report


class Transcript:
    def __init__(self) -> None:
        self._entries: list[dict[str, Any]] = []

    def add(self, role: str, content: str, timestamp: str | None = None) -> None:
        at = timestamp or datetime.now(UTC).isoformat(timespec="milliseconds")
        self._entries.append({"role": role, "content": content, "timestamp": at})
        report(transcript=self._entries)

    def heard(self, content: str) -> None:
        self.add("user", content)

    def follow(self, aggregators: LLMContextAggregatorPair) -> None:
        """Record both sides of a conversation with a language model; of the bot only what was actually spoken."""
        self.follow_caller(aggregators)
        sentence = _SentenceOnAir()

        @aggregators.assistant().event_handler("on_before_process_frame")
        async def something_is_played(_aggregator: Any, frame: Frame) -> None:
            sentence.follow(frame)

        @aggregators.assistant().event_handler("on_assistant_turn_stopped")
        async def assistant_spoke(_aggregator: Any, message: Any) -> None:
            spoken = [message.content, sentence.take_cut_off()] if message.interrupted else [message.content]
            if content := " ".join(filter(None, spoken)):
                self.add("assistant", content, message.timestamp)

    def follow_caller(self, aggregators: LLMContextAggregatorPair) -> None:
        @aggregators.user().event_handler("on_user_turn_stopped")
        async def user_spoke(_aggregator: Any, _strategy: Any, message: Any) -> None:
            if message.content:
                self.add("user", message.content, message.timestamp)

    def follow_voice(self, voice: TTSService) -> None:
        """Record what the voice says as it begins; the caller may interrupt it."""

        @voice.event_handler("on_tts_request")
        async def bot_speaks(_voice: Any, _context: str, text: str) -> None:
            self.add("assistant", text)


class _SentenceOnAir:
    """The sentence that the caller is hearing, as seen behind the transport's output.

    Of a voice that does not time its words Pipecat counts a sentence as spoken when its last sound has been played, and
    forgets it where the caller interrupts or hangs up before. The caller has heard it begin: it is taken down whole.
    Of a voice that times its words the aggregator keeps those that were spoken.
    """

    def __init__(self) -> None:
        self._announced: AggregatedTextFrame | None = None
        self._audible = False
        self._cut_off = ""

    def follow(self, frame: Frame) -> None:
        if isinstance(frame, TTSTextFrame):  # from here on, the aggregator has the text
            if self._announced is not None and frame.segment_id == self._announced.id:
                self._announced = None
        elif isinstance(frame, AggregatedTextFrame):
            if frame.will_be_spoken:
                self._announced, self._audible = frame, False
        elif isinstance(frame, TTSAudioRawFrame):
            self._audible = True
        elif isinstance(frame, InterruptionFrame | CancelFrame):
            if self._announced is not None and self._audible:
                self._cut_off = self._announced.text
            self._announced = None

    def take_cut_off(self) -> str:
        text, self._cut_off = self._cut_off, ""
        return text
