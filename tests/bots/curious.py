"""Reports what it can see. At its import it does what load_dotenv() would do with the service's own file."""

import os
import random
import sys

from pools.agent import report

os.environ["DATABASE_URL"] = "postgres://secret"
os.environ["HARMLESS"] = "yes"


async def bot(runner_args):
    environment = sorted(os.environ)
    os.environ["SEEN"] = "by one session only"
    report(
        outcome="looked",
        transcript=[{"role": "assistant", "content": "hm\0\ud800"}],
        environment=environment,
        argv=sys.argv,
        path=sys.path[0],
        directory=os.getcwd(),
        arguments=type(runner_args).__name__,
        room_url=runner_args.room_url,
        token=runner_args.token,
        body=runner_args.body,
        session_id=runner_args.session_id,
        handle_sigint=runner_args.handle_sigint,
        descriptors=open_descriptors(),
        leader=os.getsid(0) == os.getpid(),
        random=random.random(),
    )


def open_descriptors():
    targets = []
    for descriptor in os.listdir("/proc/self/fd"):
        try:
            targets.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        except FileNotFoundError:  # the one that listed them
            continue
    return targets
