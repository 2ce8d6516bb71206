"""Lets a bot finish its work after the session, for up to `VOICE_AGENT_AFTERWORK_S` seconds.

Under Pipecat's runner the process lives on after `bot()` has returned, and Python waits for threads and runs exit
handlers at its end: transcripts are posted, spans and errors are flushed. An agent process does the same within its
time. What was made before the fork belongs to the zygote and is not cleaned up by its children.
"""

import asyncio
import atexit
import logging
import os
import sys
import threading
import weakref
from types import FrameType

from pools.agent.logs import THREAD

logger = logging.getLogger(__name__)

_LOOK_EVERY_S = 0.02
# Tasks of these packages run as long as the event loop, or belong to the caller's connection.
_NOT_THE_BOTS = ("aioice", "aiortc", "pools", "pyee")
_BUNDLED_BOTS = "pools.agent.bots"
_IDLE_WORKER = os.path.join("concurrent", "futures", "thread.py")
_WAITING = (f"{os.sep}threading.py", f"{os.sep}queue.py", _IDLE_WORKER)


async def finish(seconds: float) -> None:
    """Wait until the bot's tasks and threads have finished, for at most `seconds`."""
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    while (left := [*_tasks(), *_threads()]) and loop.time() < until:
        await asyncio.sleep(_LOOK_EVERY_S)
    if left:
        logger.info("left undone after %g s: %s", seconds, ", ".join(left))


def run_exit_handlers() -> None:
    """Wait for threads and run exit handlers, as Python does at the end of a program."""
    try:
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
    except BaseException:
        logger.exception("an exit handler of the bot failed")


def leave_to_the_zygote() -> None:
    """Mark what exists before the forks, so that no child cleans up what all of them share."""
    for finalizer in list(weakref.finalize._registry):  # type: ignore[attr-defined]
        finalizer.atexit = False
    if processes := sys.modules.get("multiprocessing.process"):
        processes._children = set()  # type: ignore[attr-defined]


def _tasks() -> list[str]:
    return [task.get_name() for task in asyncio.all_tasks() if _is_the_bots(task)]


def _is_the_bots(task: asyncio.Task[object]) -> bool:
    frame: FrameType | None = getattr(task.get_coro(), "cr_frame", None)
    module = frame.f_globals.get("__name__", "") if frame else ""
    return module.startswith(_BUNDLED_BOTS) or module.partition(".")[0] not in _NOT_THE_BOTS


def _threads() -> list[str]:
    frames = sys._current_frames()
    return [
        thread.name
        for thread in threading.enumerate()
        if thread is not threading.main_thread()
        and thread.name != THREAD
        and not isinstance(thread, threading._DummyThread)  # a thread of native code
        and (frame := frames.get(thread.ident or 0))
        and not _is_idle(frame.f_code.co_filename, daemon=thread.daemon)
    ]


def _is_idle(innermost: str, *, daemon: bool) -> bool:
    """Return whether a thread only waits for work. Python itself waits for other threads that are not daemons."""
    return innermost.endswith(_WAITING if daemon else _IDLE_WORKER)
