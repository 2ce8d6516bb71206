"""The conversation as the bot reports it: after every turn, so that a call that ends badly leaves what was said."""

from datetime import UTC, datetime
from typing import Any

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
        """Take down what both sides of a conversation with a language model say: of the bot, what has been spoken."""
        self.follow_caller(aggregators)

        @aggregators.assistant().event_handler("on_assistant_turn_stopped")
        async def assistant_spoke(_aggregator: Any, message: Any) -> None:
            if message.content:
                self.add("assistant", message.content, message.timestamp)

    def follow_caller(self, aggregators: LLMContextAggregatorPair) -> None:
        @aggregators.user().event_handler("on_user_turn_stopped")
        async def user_spoke(_aggregator: Any, _strategy: Any, message: Any) -> None:
            if message.content:
                self.add("user", message.content, message.timestamp)

    def follow_voice(self, voice: TTSService) -> None:
        """Take down what the voice is told to say, as it begins; the caller may interrupt it."""

        @voice.event_handler("on_tts_request")
        async def bot_speaks(_voice: Any, _context: str, text: str) -> None:
            self.add("assistant", text)
