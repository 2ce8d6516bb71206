"""Leaves work behind when it returns; each piece writes its name into the folder that the body names."""

import asyncio
import atexit
import concurrent.futures
import tempfile
import threading
import time
from pathlib import Path

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

SHARED = tempfile.TemporaryDirectory()
_folder = Path()
_tasks: list[asyncio.Task[None]] = []


def _done(name):
    (_folder / name).touch()


def _slowly(name):
    time.sleep(0.2)
    _done(name)


async def _in_a_task():
    await asyncio.sleep(0.2)
    _done("task")


def _wait_for_ever():
    threading.Event().wait()


@atexit.register
def _at_exit():
    asyncio.run(_flush())


async def _flush():
    await asyncio.sleep(0)
    _done("atexit")


async def _never_done():
    await asyncio.Event().wait()


class _Spans(SpanExporter):
    def export(self, spans):
        _done("span")
        return SpanExportResult.SUCCESS


async def bot(runner_args):
    global _folder
    body = runner_args.body.get("payload") or runner_args.body
    _folder = Path(body["folder"])
    (_folder / "shared").write_text(SHARED.name)
    tracing = TracerProvider()
    tracing.add_span_processor(BatchSpanProcessor(_Spans(), schedule_delay_millis=3_600_000))
    tracing.get_tracer(__name__).start_span("a call").end()
    threading.Thread(target=_slowly, args=["thread"]).start()
    threading.Thread(target=_slowly, args=["daemon"], daemon=True).start()
    threading.Thread(target=_wait_for_ever, daemon=True).start()  # as a library's worker: nobody waits for it
    concurrent.futures.ThreadPoolExecutor().submit(_slowly, "executor")
    _tasks.append(asyncio.create_task(_in_a_task()))
    if body.get("endless"):
        _tasks.append(asyncio.create_task(_never_done()))
