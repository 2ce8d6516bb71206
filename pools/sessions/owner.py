"""The application whose records voice sessions are about: it registers once what it needs of them.

`pools` never imports that application. The composition root (breezebuddy/apps.py) registers the functions of `leads`.
"""

from collections.abc import Callable
from dataclasses import dataclass

from access.scope import Scope
from pools.models import VoiceSession


@dataclass(frozen=True)
class Owner:
    """`session_ended` is called in the transaction that ends a session; `may_see` says whether a scope sees it."""

    session_ended: Callable[[VoiceSession], None] = lambda session: None
    may_see: Callable[[Scope, VoiceSession], bool] = lambda scope, session: False


_owner = Owner()


def register(owner: Owner) -> Owner:
    """Returns the former one."""
    global _owner
    former, _owner = _owner, owner
    return former


def session_ended(session: VoiceSession) -> None:
    _owner.session_ended(session)


def may_see(scope: Scope, session: VoiceSession) -> bool:
    return _owner.may_see(scope, session)
