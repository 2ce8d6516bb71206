"""Prints what it should not while it is imported and while it is idle, and ignores what it should not ignore."""

# ruff: noqa: T201

import os
import signal
import sys

print("from print", os.environ["OPENAI_API_KEY"], flush=True)
sys.stderr.write(f"to stderr {os.environ['OPENAI_API_KEY']}\n")
os.write(2, f"native \x1b]0;title\x07 {os.environ['OPENAI_API_KEY']}\n".encode())
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
signal.signal(signal.SIGTERM, signal.SIG_DFL)


async def warm_up():
    print("warming up", os.environ["OPENAI_API_KEY"], flush=True)


async def bot(runner_args):
    pass
