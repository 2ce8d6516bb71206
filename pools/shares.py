"""PURE: the shares of a roll-out, as people write them and as the claim uses them.

Each call draws a number from [0, 1). The versions of a roll-out have intervals of it, as long as their shares, one
after the other; all other versions have what is left, together. A pod whose version has the number in its interval is
preferred for the call. So nothing has to be counted, and shares hold however many processes claim at once.
"""

import math
import re
from collections.abc import Sequence
from uuid import UUID

Shares = dict[str, float]  # percent by version, in the order in which they were named
Interval = tuple[float, float]

WHOLE = 100.0
_SHARE = re.compile(r"(\d{1,3}(?:\.\d{1,2})?)\s*%?")


class BadShares(ValueError):
    """The text is not a list of shares; the message says what is wrong and what is allowed."""


def parse(words: Sequence[str]) -> Shares:
    """Parse shares such as `2.3=10%` or `2.3=10`. A version without a share gets all calls. Raises BadShares."""
    shares: Shares = {}
    for word in words:
        version, equals, text = word.strip().rpartition("=")
        version, text = (version.strip(), text.strip()) if equals else (text, "100")
        found = _SHARE.fullmatch(text)
        if not version:
            raise BadShares(f"{word!r} names no version: write VERSION=PERCENT, such as 2.3=10%")
        if len(version) > 100:
            raise BadShares(f"version {version[:20]}... is too long: at most 100 characters, as of a pod")
        if found is None or float(found[1]) > WHOLE:
            raise BadShares(f"{word!r}: a share is a number from 0 to 100, with two decimals at most, such as 10%")
        if version in shares:
            raise BadShares(f"version {version} is named twice")
        shares[version] = float(found[1])
    if (total := math.fsum(shares.values())) > WHOLE + 1e-6:
        raise BadShares(f"together the shares are {total:g} %, but there are 100: lower them by {total - WHOLE:g}")
    return shares


def in_words(shares: Shares) -> str:
    """The shares as text: `2.3 10 %, the others 90 %`."""
    if not shares:
        return "no preference"
    words = [f"{version} {percent:g} %" for version, percent in shares.items()]
    rest = WHOLE - math.fsum(shares.values())
    return ", ".join([*words, f"the others {rest:g} %"] if rest > 1e-6 else words)


def interval(version: str, shares: Shares) -> Interval | None:
    """The interval of draws that prefer this version; None without a roll-out."""
    if not shares:
        return None
    bounds = [0.0]
    for percent in shares.values():
        bounds.append(min(1.0, round(bounds[-1] + percent / WHOLE, 6)))
    names = list(shares)
    if version in names:
        place = names.index(version)
        return bounds[place], bounds[place + 1]
    return bounds[-1], 1.0


def draw(session: UUID) -> float:
    """The draw of a call, from 0 to 1: computed from its random id, so that every reader gets the same."""
    return (session.int >> 96) / 2**32


def prefers(number: float, of: Interval | None) -> bool:
    """As the claim's SQL does, whose BETWEEN takes in the upper bound: one number in four billion."""
    return of is None or of[0] <= number < of[1]
