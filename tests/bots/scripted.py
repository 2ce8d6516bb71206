"""A bot that knows nothing of us and does what the body of its session says: `{"do": "<a function here>", ...}`."""

# ruff: noqa: T201

import asyncio
import contextlib
import os
import subprocess
import sys
import time


async def bot(runner_args):
    await globals()[runner_args.body["do"]](runner_args)


async def leave(runner_args):
    pass


async def stay(runner_args):
    await asyncio.Event().wait()


async def stay_for(runner_args):
    await asyncio.sleep(runner_args.body["seconds"])


async def fail(runner_args):
    raise RuntimeError(f"cannot reach {runner_args.room_url} with {runner_args.token} for +919876543210")


async def wants_another_body(runner_args):
    """As Pipecat's dial-out examples, which expect the body that their own server makes."""
    from pydantic import BaseModel

    class AgentRequest(BaseModel):
        room_url: str
        token: str
        dialout_settings: dict[str, str]

    AgentRequest.model_validate(runner_args.body)


async def exit_program(runner_args):
    sys.exit(3)


async def exit_well(runner_args):
    sys.exit(0)


async def exit_well_in_a_task(runner_args):
    async def task():
        sys.exit()

    asyncio.get_running_loop().create_task(task())
    await asyncio.Event().wait()


async def exit_in_a_task(runner_args):
    async def task():
        sys.exit(3)

    asyncio.get_running_loop().create_task(task())
    await asyncio.Event().wait()


async def stop_the_loop(runner_args):
    asyncio.get_running_loop().stop()
    await asyncio.sleep(0)


async def block(runner_args):
    while True:
        time.sleep(60)


async def refuse_to_go(runner_args):
    while True:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()


async def clean_up(runner_args):
    try:
        await asyncio.Event().wait()
    finally:
        await asyncio.sleep(0.05)
        print("cleaned up", flush=True)


async def crash(runner_args):
    os.abort()


async def say(runner_args):
    for _ in range(runner_args.body.get("times", 1)):
        print(runner_args.body["words"], flush=True)


async def say_token(runner_args):
    print("to stdout", runner_args.token, flush=True)
    os.write(2, f"native {runner_args.token}\n".encode())
    subprocess.run(["/bin/sh", "-c", "echo from a child $OPENAI_API_KEY"], check=True)
    print(repr(runner_args), flush=True)
