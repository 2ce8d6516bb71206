"""Meeting tokens: HS256 JWTs signed with the API key, with Daily's short claim names.

A token that a client has signed itself and one that `POST /meeting-tokens` has made are the same thing.
"""

from typing import Any

import jwt

from devtools.sandbox.clock import Clock
from devtools.sandbox.errors import JoinRefused, invalid_request, quoted
from devtools.sandbox.properties import RECORDINGS, check_unix_seconds, is_number

CLAIMS = {
    # property -> claim
    "nbf": "nbf",
    "exp": "exp",
    "room_name": "r",
    "user_id": "ud",
    "user_name": "u",
    "is_owner": "o",
    "knocking": "k",
    "close_tab_on_exit": "ctoe",
    "redirect_on_meeting_exit": "rome",
    "intercom_join_alert": "ij",
    "start_cloud_recording": "sr",
    "start_cloud_recording_opts": "sro",
    "auto_start_transcription": "ast",
    "enable_recording": "er",
    "enable_recording_ui": "erui",
    "enable_screenshare": "ss",
    "start_video_off": "vo",
    "start_audio_off": "ao",
    "meeting_join_hook": "mjh",
    "eject_at_token_exp": "ejt",
    "eject_after_elapsed": "eje",
    "lang": "uil",
    "permissions": "p",
    # no abbreviation is documented for these
    "enable_prejoin_ui": "enable_prejoin_ui",
    "enable_live_captions_ui": "enable_live_captions_ui",
    "enable_terse_logging": "enable_terse_logging",
}
PROPERTIES = {claim: name for name, claim in CLAIMS.items()}
FLAGS = {
    *("is_owner", "knocking", "close_tab_on_exit", "intercom_join_alert", "start_cloud_recording"),
    *("auto_start_transcription", "enable_recording_ui", "enable_screenshare", "start_video_off"),
    *("start_audio_off", "eject_at_token_exp", "enable_prejoin_ui", "enable_live_captions_ui"),
    "enable_terse_logging",
}
TEXTS = {"room_name", "user_id", "user_name", "redirect_on_meeting_exit", "meeting_join_hook", "lang"}
USER_ID_CHARS = 36
PERMISSIONS = {"hasPresence": "hp", "canSend": "cs", "canReceive": "cr", "canAdmin": "ca"}
MEDIA = {"video": "v", "audio": "a", "screenVideo": "sv", "screenAudio": "sa"}
_NO_CHECKS = {f"verify_{name}": False for name in ("exp", "nbf", "iat", "aud", "iss", "sub", "jti")}


class TokenSigner:
    """Makes and checks the tokens of one domain. Times are judged by the sandbox's clock."""

    def __init__(self, api_key: str, domain_id: str, clock: Clock) -> None:
        self._key = api_key
        self._domain_id = domain_id
        self._clock = clock

    def mint(self, properties: object) -> str:
        """Return a token with these properties (long names). Raises DailyError for a wrong property."""
        if not isinstance(properties, dict):
            raise invalid_request("properties should be an object")
        claims: dict[str, Any] = {}
        for name, value in properties.items():
            if name not in CLAIMS:
                raise invalid_request(f"unknown parameter {quoted(name)}")
            if value is not None:
                _check_property(name, value, self._clock.now())
                claims[CLAIMS[name]] = _short_permissions(value) if name == "permissions" else value
        claims |= {"d": self._domain_id, "iat": int(self._clock.now())}
        return jwt.encode(claims, self._key, algorithm="HS256")

    def verify(self, token: str, *, ignore_nbf: bool = False) -> dict[str, Any]:
        """Return the claims of a valid token. Raises JoinRefused: not-allowed, nbf-token or exp-token."""
        try:
            claims = jwt.decode(token, self._key, algorithms=["HS256"], options=_NO_CHECKS)  # type: ignore[arg-type]
        except (jwt.PyJWTError, UnicodeError):
            raise JoinRefused("not-allowed", "the meeting token is not valid") from None
        if claims.get("d") != self._domain_id:
            raise JoinRefused("not-allowed", "the meeting token is for another domain")
        if not is_number(claims.get("iat")):
            raise JoinRefused("not-allowed", "the meeting token has no iat")
        for name in ("exp", "nbf", "eje"):
            if claims.get(name) is not None and not is_number(claims[name]):
                raise JoinRefused("not-allowed", f"{name} of the meeting token is not a number")
        for name in ("r", "u", "ud"):
            if not isinstance(claims.get(name, ""), str):
                raise JoinRefused("not-allowed", f"{name} of the meeting token is not a string")
        now = self._clock.now()
        if claims.get("nbf") is not None and claims["nbf"] > now and not ignore_nbf:
            raise JoinRefused("nbf-token", "the meeting token is not valid yet")
        if claims.get("exp") is not None and claims["exp"] <= now:
            raise JoinRefused("exp-token", "the meeting token has expired")
        return claims

    def describe(self, token: str, *, ignore_nbf: bool) -> dict[str, Any]:
        """Return the properties of a token by their long names. Raises DailyError for an invalid token."""
        try:
            claims = self.verify(token, ignore_nbf=ignore_nbf)
        except JoinRefused as refusal:
            raise invalid_request(refusal.message) from None
        known = {PROPERTIES[claim]: value for claim, value in claims.items() if claim in PROPERTIES}
        if isinstance(known.get("permissions"), dict):
            known["permissions"] = _long_permissions(known["permissions"])
        return known


def _check_property(name: str, value: object, now: float) -> None:
    if name in ("exp", "nbf"):
        check_unix_seconds(name, value, now)
    elif name in FLAGS and not isinstance(value, bool):
        raise invalid_request(f"{name} was {quoted(value)} but should be a boolean")
    elif name in TEXTS and not isinstance(value, str):
        raise invalid_request(f"{name} was {quoted(value)} but should be a string")
    elif name == "user_id" and len(str(value)) > USER_ID_CHARS:
        raise invalid_request(f"user_id should have at most {USER_ID_CHARS} characters")
    elif name == "eject_after_elapsed" and not (is_number(value) and value > 0):
        raise invalid_request(f"eject_after_elapsed was {quoted(value)} but should be a number of seconds")
    elif name == "enable_recording" and value not in RECORDINGS:
        raise invalid_request(f"enable_recording was {quoted(value)} but should be one of {', '.join(RECORDINGS)}")
    elif name == "permissions" and not isinstance(value, dict):
        raise invalid_request("permissions should be an object")


def _short_permissions(permissions: dict[str, Any]) -> dict[str, Any]:
    short: dict[str, Any] = {}
    for name, value in permissions.items():
        if name not in PERMISSIONS:
            raise invalid_request(f"unknown parameter {quoted(name)}")
        if name == "canSend" and isinstance(value, list):
            unknown = [kind for kind in value if kind not in MEDIA]
            if unknown:
                raise invalid_request(f"canSend has {quoted(unknown[0])} but can have {', '.join(MEDIA)}")
            value = ",".join(MEDIA[kind] for kind in value)
        elif name == "canReceive" and isinstance(value, dict) and "base" in value:
            value = {"b" if key == "base" else key: inner for key, inner in value.items()}
        short[PERMISSIONS[name]] = value
    return short


def _long_permissions(short: dict[str, Any]) -> dict[str, Any]:
    media = {letters: kind for kind, letters in MEDIA.items()}
    long = {name: short[claim] for name, claim in PERMISSIONS.items() if claim in short}
    if isinstance(long.get("canSend"), str):
        long["canSend"] = [media.get(part, part) for part in long["canSend"].split(",") if part]
    if isinstance(long.get("canReceive"), dict) and "b" in long["canReceive"]:
        long["canReceive"] = {"base" if key == "b" else key: inner for key, inner in long["canReceive"].items()}
    return long
