"""Imports, before the fork, the modules that a first session would import."""

import importlib
import logging
import sys

logger = logging.getLogger(__name__)

# If the bot has imported the key, the first session imports the values. Found by comparing `sys.modules` before and
# after a session of the default bot; a module that does not exist in some version is skipped.
LAZY_MODULES: dict[str, tuple[str, ...]] = {
    "aiohttp": ("encodings.idna", "stringprep"),
    "openai": (
        "openai.resources.chat.chat",
        "openai.resources.chat.completions.completions",
        "openai.resources.chat.completions.messages",
        "openai.lib._chat_completion_resources",
        "openai.pagination",
        "openai.lib.streaming.chat",
        "httpcore2._async.http2",
        "httpcore2._backends.auto",
        "anyio._backends._asyncio",
        "h2.connection",
        "jiter",
        "truststore",
    ),
    "deepgram": (
        "deepgram.listen.client",
        "deepgram.listen.v1.client",
        "deepgram.listen.v1.socket_client",
        "deepgram.core.websocket_compat",
        "httpcore._async.http2",
        "httpcore._backends.auto",
        "certifi",
    ),
    "aiortc": ("cryptography.hazmat.primitives.serialization",),
    "pipecat.services.openai.tts": ("openai.resources.audio.audio",),
    "websockets": ("websockets.legacy.client", "websockets.sync.client"),
    "numpy": ("numpy.random",),
}


def preload() -> list[str]:
    """Import what is missing; return the names of the modules that this call has imported."""
    imported = []
    for trigger, names in LAZY_MODULES.items():
        if trigger not in sys.modules:
            continue
        for name in names:
            if name in sys.modules:
                continue
            try:
                importlib.import_module(name)
            except ImportError as error:
                logger.debug("preload module=%s skipped=%s", name, error)
            else:
                imported.append(name)
    if "sentry_sdk" in sys.modules:
        imported += _sentry_integrations()
    return imported


def _sentry_integrations() -> list[str]:
    """Import what `sentry_sdk.init()` imports in each session that calls it: up to 3,000 modules, for seconds.

    Sentry has an integration for each package that is installed, and imports the package to see whether it is.
    """
    from sentry_sdk.integrations import iter_default_integrations

    before = set(sys.modules)
    try:
        for _ in iter_default_integrations(True):
            pass
    except Exception as error:  # of any package that is installed; the bot meets it itself
        logger.debug("preload module=sentry_sdk stopped=%s", error)
    return sorted(set(sys.modules) - before)
