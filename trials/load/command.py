"""`python -m trials load`: leads at a steady rate, or a campaign that is dialled; `make load`."""

from collections.abc import Sequence

from trials.load import api, dial_command

RUNS = {"api": api.main, "dial": dial_command.main}


def main(name: str, words: Sequence[str]) -> int:
    """The first word chooses the run; without one it is `api`."""
    chosen, rest = (words[0], words[1:]) if words and words[0] in RUNS else ("api", words)
    return RUNS[chosen](f"{name} {chosen}", rest)
