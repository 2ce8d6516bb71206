"""Opens connections to OpenAI (or the service at OPENAI_BASE_URL) before a caller comes.

All services of a process share one HTTP client, and with it these connections. One that the other end has closed in
the meantime is noticed when it is about to be used, and replaced; a request that it closes under is sent once more by
OpenAI's library.
"""

import asyncio
import os
from typing import Any

from loguru import logger
from openai import AsyncOpenAI, DefaultAsyncHttpxClient
from pipecat.services.openai.llm import OpenAILLMService
from pipecat.utils.http import connection_limits

_DEFAULT_URL = "https://api.openai.com/v1"
_REFUSED = (401, 403)

_client: DefaultAsyncHttpxClient | None = None
_refusal_said = False


def client() -> DefaultAsyncHttpxClient:
    """Return the HTTP client of this process. By default, httpx would close connections after five idle seconds."""
    global _client
    if _client is None:
        limits = connection_limits(max_connections=1000, max_keepalive_connections=100, keepalive_expiry=None)
        _client = DefaultAsyncHttpxClient(limits=limits)
    return _client


class ConnectedLLMService(OpenAILLMService):
    """Pipecat's service with our HTTP client, for which it has no argument."""

    def create_client(self, api_key: Any = None, base_url: Any = None, *_: Any, **__: Any) -> AsyncOpenAI:
        return AsyncOpenAI(api_key=api_key, base_url=base_url, http_client=client())


async def open_connections(number: int) -> None:
    """Open so many connections: one for each request that may run at the same time.

    Each requests the list of models, which is free and shows whether the key is valid. Whatever the answer, the
    connection stays open.
    """
    global _refusal_said
    url = os.environ.get("OPENAI_BASE_URL", "").rstrip("/") or _DEFAULT_URL
    headers = {"Authorization": f"Bearer {os.environ.get('OPENAI_API_KEY', '')}"}
    answers = await asyncio.gather(*(client().get(f"{url}/models", headers=headers) for _ in range(number)))
    refused = [answer.status_code for answer in answers if answer.status_code in _REFUSED]
    if refused and not _refusal_said:
        _refusal_said = True
        logger.warning(f"OPENAI_API_KEY is refused: {refused[0]} from {url}")
