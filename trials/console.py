"""What a run says while it goes on: one line a thing, with the time since the beginning."""

import sys
import time

_began = time.monotonic()


def say(text: str) -> None:
    sys.stdout.write(f"{time.monotonic() - _began:6.1f} s  {text}\n")
    sys.stdout.flush()
