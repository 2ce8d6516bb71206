"""What a bot has left to be done when its session is over, for which `VOICE_AGENT_AFTERWORK_S` gives the time.

Under Pipecat's runner the process lives on after `bot()` has returned, and Python waits for threads and runs exit
handlers at its end: transcripts are posted, spans and errors are flushed. An agent's process does the same, as long
as it has time. What was made before the fork is the zygote's and is not cleaned up by its children.
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
# Tasks of these go on for as long as the loop does, or are about the caller's connection.
_NOT_THE_BOTS = ("aioice", "aiortc", "pools", "pyee")
_BUNDLED_BOTS = "pools.agent.bots"
_IDLE_WORKER = os.path.join("concurrent", "futures", "thread.py")
_WAITING = (f"{os.sep}threading.py", f"{os.sep}queue.py", _IDLE_WORKER)


async def finish(seconds: float) -> None:
    """Let the bot's tasks and threads finish, for at most so long."""
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    while (left := [*_tasks(), *_threads()]) and loop.time() < until:
        await asyncio.sleep(_LOOK_EVERY_S)
    if left:
        logger.info("left undone after %g s: %s", seconds, ", ".join(left))


def run_exit_handlers() -> None:
    """As Python does when a program ends; `multiprocessing` does it in its processes, too."""
    try:
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
    except BaseException:
        logger.exception("an exit handler of the bot failed")


def leave_to_the_zygote() -> None:
    """Before the forks: what exists now is shared by all of them, and none of them is to clean it up."""
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
        and not isinstance(thread, threading._DummyThread)  # native code's
        and (frame := frames.get(thread.ident or 0))
        and not _is_idle(frame.f_code.co_filename, daemon=thread.daemon)
    ]


def _is_idle(innermost: str, *, daemon: bool) -> bool:
    """A worker that waits to be given something to do; for other threads that are not daemons Python waits, too."""
    return innermost.endswith(_WAITING if daemon else _IDLE_WORKER)
