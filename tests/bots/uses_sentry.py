"""Starts Sentry in its session, as published bots do, and reports what that has imported."""

import sys

import sentry_sdk

from pools.agent import report


async def bot(runner_args):
    before = set(sys.modules)
    sentry_sdk.init(dsn=None)
    report(imported=sorted(set(sys.modules) - before))
