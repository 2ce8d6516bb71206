"""`python -m trials.load RUN`: arguments, the run, the figures, the JSON, the exit status."""

import argparse
import json
import sys
from pathlib import Path

from devtools.processes import Foreground
from trials.bench.ending import BROKEN, INTERRUPTED, INTERRUPTIONS
from trials.bench.world import DATA_DIR, ROOT, private_directory
from trials.chaos.console import say
from trials.chaos.world import running_world
from trials.load import __doc__ as package_doc
from trials.load import api, attack, dial


def main() -> int:
    if sys.argv[1:2] == ["api"]:
        return api.main(sys.argv[2:])
    if sys.argv[1:2] == ["attack"]:
        return attack.main(sys.argv[2:])
    arguments = _arguments()
    try:
        with private_directory(DATA_DIR) as directory, Foreground(directory, ROOT) as foreground:
            say(f"{arguments.run}: bringing up PostgreSQL, the Daily sandbox and gunicorn")
            with running_world(foreground, directory, dial.VARIABLES) as world:
                figures = dial.run(world, leads=arguments.leads, at_dailys_rate=arguments.at_dailys_rate)
    except INTERRUPTIONS:
        say("interrupted; everything has been ended")
        return INTERRUPTED
    except BROKEN as error:
        say(f"broken: {type(error).__name__}: {error}")
        return 1
    output = arguments.output or DATA_DIR / f"load-{arguments.run}.json"
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(figures.as_json(), indent=2) + "\n")
    sys.stdout.write(f"\n{figures.in_words()}\n\nwritten to {output}\n")
    return 0 if figures.holds else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m trials.load",
        description=package_doc,
        epilog="Exit status: 0 what must hold holds, 1 it does not or the run broke, 130 interrupted.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("run", choices=["api", "attack", "dial"])
    parser.add_argument("--leads", type=int, default=dial.LEADS, metavar="N", help="telephony leads (%(default)s)")
    parser.add_argument(
        "--at-dailys-rate",
        type=int,
        default=dial.AT_DAILYS_RATE,
        metavar="N",
        help="how many of them are dialled at Daily's documented rate, about one a second (%(default)s)",
    )
    parser.add_argument("--output", type=Path, metavar="FILE", help="where the JSON goes (.data/load-RUN.json)")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
