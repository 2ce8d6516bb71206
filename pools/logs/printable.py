"""Text of others made fit for a terminal, which obeys escape characters: they could clear it or forge lines."""

import re

COLOURS = re.compile(r"\x1b\[[0-9;]*m")
CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def printable(text: str) -> str:
    """Without colours, and with every other control character but tab and newline in its escaped form."""
    if text.isprintable():
        return text
    return CONTROLS.sub(lambda found: f"\\x{ord(found[0]):02x}", COLOURS.sub("", text))
