"""`python -m trials NAME [options]`: one trial in a private service; each NAME has a --help of its own."""

import argparse
import sys
from importlib import import_module

TRIALS = {
    "bench": ("trials.bench.command", "claims, hand-offs and refills, measured (--voice: spoken calls)"),
    "scale": ("trials.scale.command", "a hundred pods on one database"),
    "sizing": ("trials.bench.sizing", "a pod that follows demand, against the simulation"),
    "chaos": ("trials.chaos.command", "faults on purpose, one by one and at random moments"),
    "soak": ("trials.chaos.command", "minutes under load and faults, after which nothing may have grown"),
    "rolling": ("trials.chaos.command", "pods restarted one after the other under load"),
    "hosts": ("trials.hosts.command", "several hosts, whose cables are pulled (needs root)"),
    "load": ("trials.load.command", "pushes and connects at a steady rate; `load dial`: a campaign that is dialled"),
    "shipping": ("trials.shipping.command", "what is shipped: images, manifests, a roll-out, an upgrade"),
    "attack": ("trials.load.attack", "what a tenant or anybody can do to the API, and how /health fares meanwhile"),
}


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m trials",
        description=__doc__,
        epilog="trials:\n" + "\n".join(f"  {name:<9} {about}" for name, (_, about) in TRIALS.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", metavar="NAME", choices=TRIALS, help="one of the trials below")
    parser.add_argument("options", nargs=argparse.REMAINDER, help="those of the trial")
    arguments = parser.parse_args()
    module, _ = TRIALS[arguments.name]
    return int(import_module(module).main(arguments.name, arguments.options))


if __name__ == "__main__":
    sys.exit(main())
