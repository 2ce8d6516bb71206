"""Modules that a first session would import, imported before the fork."""

import importlib
import logging
import sys

logger = logging.getLogger(__name__)

# If the bot has imported the key, the first session imports the values. Found by comparing `sys.modules` before and after
# a session of the default bot; a module that does not exist in some version is skipped.
LAZY_MODULES: dict[str, tuple[str, ...]] = {
    "aiohttp": ("aiohttp.client_ws",),
}


def preload() -> list[str]:
    """Import what is missing; returns the names of the listed modules that were imported by this call."""
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
    return imported
