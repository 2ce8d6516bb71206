"""The two meeting tokens of a session: the owner's for the bot, the guest's for the caller.

Signed by ourselves at hand-out where Daily is known to accept that (`DailyAccount.self_signed_tokens`), else minted
over REST when the room is made and kept with it, with their expiry.
"""

from datetime import UTC, datetime, timedelta

from pools.daily.client import DailyClient
from pools.daily.tokens import TokenRequest, TokenSigner
from pools.models import Room, StoredTokens, VoiceSession

BOT_NAME = "Bot"
CALLER_NAME = "Caller"
GRACE = timedelta(seconds=30)  # for the bot: the agent ends the session at its limit itself, and says so


def bot_user_ids(session: VoiceSession) -> set[str]:
    """The user ids that the bot of a session may have in its room, whichever way its token was made."""
    return {str(session.uuid), session.room.name[-36:]}


def owner_token(session: VoiceSession, room: Room, signer: TokenSigner | None, life: timedelta) -> str:
    return _token(room, room.owner_token, signer, _owner(room.name, str(session.uuid), life + GRACE, room.recorded))


def guest_token(session: VoiceSession, room: Room, signer: TokenSigner | None, life: timedelta) -> str:
    return _token(room, room.guest_token, signer, _guest(room.name, f"c{session.uuid.hex}", life))


def mint_guest(client: DailyClient, session: VoiceSession, room: Room, life: timedelta) -> str:
    """Over REST. Raises DailyError."""
    return client.mint_token(_guest(room.name, f"c{session.uuid.hex}", life).properties(datetime.now(UTC).timestamp()))


def mint_pair(client: DailyClient, name: str, life: timedelta, *, recorded: bool) -> StoredTokens:
    """Both over REST. The session is not known yet, so that the ids are the room's. Raises DailyError."""
    now = datetime.now(UTC)
    owner, guest = (
        client.mint_token(request.properties(now.timestamp()))
        for request in (_owner(name, name[-36:], life, recorded), _guest(name, f"c{name[-35:]}", life))
    )
    return StoredTokens(owner, guest, now + life)


def _token(room: Room, stored: str, signer: TokenSigner | None, request: TokenRequest) -> str:
    if signer is not None:
        return signer.sign(request)
    if not stored:
        raise LookupError(f"room {room.name} has no stored meeting token")
    return stored


def _owner(name: str, user_id: str, life: timedelta, recorded: bool) -> TokenRequest:
    return TokenRequest(name, user_id, BOT_NAME, owner=True, lifetime=int(life.total_seconds()), recording=recorded)


def _guest(name: str, user_id: str, life: timedelta) -> TokenRequest:
    return TokenRequest(name, user_id, CALLER_NAME, owner=False, lifetime=int(life.total_seconds()))
