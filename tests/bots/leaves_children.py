"""Starts a child that is a copy of itself and a program in a session of its own, writes down who they are, and stays or
goes. Both would live for ten minutes."""

import asyncio
import json
import os
import subprocess
import time


async def bot(runner_args):
    wanted = runner_args.body.get("payload") or runner_args.body
    child = os.fork()
    if child == 0:
        time.sleep(600)
        os._exit(0)
    program = subprocess.Popen(["sh", "-c", "sleep 600 & echo $!"], stdout=subprocess.PIPE, start_new_session=True)
    assert program.stdout
    grandchild = int(program.stdout.readline())
    with open(wanted["file"] + ".new", "w") as file:
        json.dump([child, grandchild], file)
    os.rename(wanted["file"] + ".new", wanted["file"])
    if wanted["stay"]:
        await asyncio.Event().wait()
