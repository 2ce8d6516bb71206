"""Client of Daily's REST API: one keep-alive session, timeouts on every call, our own errors (see errors.py).

Knows nothing of Django, of budgets or of retries: its callers decide when to ask and whether to ask again.
Creating a room is idempotent because the names are ours: after an unknown outcome the same request either
makes the room or finds it. Source of the facts: https://docs.daily.co/reference/rest-api
"""

import json
import logging
import re
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import NewConnectionError

from pools.daily.errors import (
    DailyError,
    DailyKeyRefused,
    DailyRateLimited,
    DailyRejected,
    DailyUnavailable,
    DailyUnreachable,
    RoomExists,
    RoomNotFound,
)

logger = logging.getLogger(__name__)

MAX_BATCH = 1000
PAGE = 100
PAGE_PAUSE_S = 0.5  # ten in 5 s: the tenth of Daily's limit that the budget (budget.py) leaves
_NUMBER = re.compile(r"\+?\d[\d\s().-]{4,}\d")  # Daily quotes what it refuses, telephone numbers too


def normalise_url(url: str) -> str:
    """The base URL with `/v1`, which may be missing in the setting."""
    url = url.rstrip("/")
    return url if url.endswith("/v1") else f"{url}/v1"


@dataclass(frozen=True)
class Domain:
    id: str
    name: str


@dataclass(frozen=True)
class DailyRoom:
    """A room at Daily. `expires_at` is None for a room that never expires."""

    name: str
    url: str
    expires_at: datetime | None


@dataclass(frozen=True)
class NewRoom:
    """A room to be made: private; at `expires_at` it ends and people inside are ejected.

    `recorded`: it may be recorded, and is when somebody joins with a token that says so. `dialout`: phones may be
    dialled from it.
    """

    name: str
    expires_at: datetime
    geo: str = ""
    recorded: bool = False
    dialout: bool = False

    def body(self) -> dict[str, Any]:
        properties: dict[str, Any] = {
            "exp": int(self.expires_at.timestamp()),
            "eject_at_room_exp": True,
            "enforce_unique_user_ids": True,
        }
        if self.geo:
            properties["geo"] = self.geo
        if self.recorded:
            properties["enable_recording"] = "cloud"
        if self.dialout:
            properties["enable_dialout"] = True
        return {"name": self.name, "privacy": "private", "properties": properties}


@dataclass(frozen=True)
class Recording:
    id: str
    finished: bool


@dataclass(frozen=True)
class Webhook:
    """A webhook at Daily. If it is not `active`, it failed too often and gets no events until it is updated."""

    uuid: str
    url: str
    event_types: frozenset[str]
    hmac: str = field(repr=False)
    active: bool = True


@dataclass(frozen=True)
class PhoneCall:
    """A phone to be dialled (E.164).

    `user_id` (at most 36 characters): its name in presence and events; `caller_id`: id of one of the domain's numbers;
    without it Daily takes any of them.
    """

    number: str = field(repr=False)
    user_id: str
    caller_id: str = ""

    def body(self) -> dict[str, Any]:
        body = {"phoneNumber": self.number, "userId": self.user_id, "displayName": "Phone"}
        return body | ({"callerId": self.caller_id} if self.caller_id else {})


@dataclass
class DailyClient:
    """Calls Daily. Threads may share it. Every method raises DailyError."""

    api_url: str
    api_key: str = field(repr=False)
    timeout: tuple[float, float] = (4.0, 10.0)  # seconds to connect, seconds to answer
    connections: int = 8
    on_call: Callable[[str, int | None, float], None] = lambda route, status, seconds: None  # status None: no answer

    def __post_init__(self) -> None:
        self._base = normalise_url(self.api_url)
        self._http = requests.Session()
        self._http.trust_env = False  # no .netrc: it would replace our Authorization header
        adapter = HTTPAdapter(pool_connections=1, pool_maxsize=self.connections, max_retries=0)
        self._http.mount("https://", adapter)
        self._http.mount("http://", adapter)
        self._http.headers["Authorization"] = f"Bearer {self.api_key}"

    def domain(self) -> Domain:
        body = self._call("GET", "/", "/")
        return Domain(id=str(body.get("domain_id") or ""), name=str(body.get("domain_name") or ""))

    def create_room(self, room: NewRoom) -> DailyRoom:
        """Make the room, or find it if an earlier attempt made it."""
        try:
            return _room(self._call("POST", "/rooms", "/rooms", room.body()))
        except RoomExists:
            return self.get_room(room.name)

    def create_rooms(self, rooms: Sequence[NewRoom]) -> list[DailyRoom]:
        """Make up to 1000 rooms in one call, all or none; or find them if an earlier attempt made them."""
        try:
            answer = self._call("POST", "/batch/rooms", "/batch/rooms", {"rooms": [room.body() for room in rooms]})
        except RoomExists:
            return self._find({room.name for room in rooms})
        made = answer if isinstance(answer, list) else answer.get("data", [])
        return [_room(room) for room in made]

    def _find(self, names: set[str]) -> list[DailyRoom]:
        found = []
        for room in self.rooms():  # newest first: ours are on the first pages
            if room.name in names:
                found.append(room)
                if len(found) == len(names):
                    break
        return found

    def get_room(self, name: str) -> DailyRoom:
        return _room(self._call("GET", "/rooms/:name", f"/rooms/{quote(name, safe='')}"))

    def rooms(self) -> Iterator[DailyRoom]:
        """All rooms of the domain, newest first, page by page. It waits between pages, because others may have made
        any number of rooms and the budget is shared."""
        after = ""
        while True:
            page = self._call("GET", "/rooms", f"/rooms?limit={PAGE}{after}").get("data", [])
            for room in page:
                yield _room(room)
            if len(page) < PAGE:
                return
            time.sleep(PAGE_PAUSE_S)
            after = f"&starting_after={page[-1]['id']}"

    def delete_room(self, name: str) -> None:
        """Delete the room; people inside are put out. A room that does not exist is success."""
        try:
            self._call("DELETE", "/rooms/:name", f"/rooms/{quote(name, safe='')}")
        except RoomNotFound:
            return

    def delete_rooms(self, names: Sequence[str]) -> None:
        """Delete up to 1000 rooms in one call. Raises DailyRejected if Daily refuses one of the names."""
        self._call("DELETE", "/batch/rooms", "/batch/rooms", {"room_names": list(names)})

    def presence(self) -> dict[str, list[dict[str, Any]]]:
        """Participants by room name, at most 15 s old. Rooms without people are absent."""
        return self._call("GET", "/presence", "/presence")

    def start_dialout(self, room_name: str, call: PhoneCall) -> str:
        """Dial a phone from a room that is not empty. Returns Daily's session id of the call, which then rings.

        Not to be repeated unless the error says that the call was not carried out: somebody's phone would ring twice.
        """
        path = f"/rooms/{quote(room_name, safe='')}/dialOut/start"
        answer = self._call("POST", "/rooms/:name/dialOut/start", path, call.body())
        id = answer.get("sessionId") if isinstance(answer, dict) else None
        if not isinstance(id, str):
            raise DailyUnavailable("POST /rooms/:name/dialOut/start", 200, "without sessionId")
        return id

    def stop_dialout(self, room_name: str, session_id: str) -> None:
        """Hang up. A call or room that has ended already is success."""
        path = f"/rooms/{quote(room_name, safe='')}/dialOut/stop"
        try:
            self._call("POST", "/rooms/:name/dialOut/stop", path, {"sessionId": session_id})
        except RoomNotFound:
            return

    def mint_token(self, properties: dict[str, Any]) -> str:
        return str(self._call("POST", "/meeting-tokens", "/meeting-tokens", {"properties": properties})["token"])

    def validate_token(self, token: str) -> dict[str, Any]:
        """The properties of a token as Daily reads them. Raises DailyRejected for a token that Daily refuses."""
        return self._call("GET", "/meeting-tokens/:token", f"/meeting-tokens/{quote(token, safe='')}")

    def recordings(self, room_name: str) -> list[Recording]:
        """Recordings of a room, newest first. Shares its own rate limit with the deletion of rooms: 50 in 30 s."""
        page = self._call("GET", "/recordings", f"/recordings?room_name={quote(room_name, safe='')}&limit=20")
        return [Recording(str(one["id"]), one.get("status") == "finished") for one in page.get("data", [])]

    def recording_link(self, id: str) -> str:
        """A link to the file, valid for an hour; it needs no key."""
        link = self._call("GET", "/recordings/:id/access-link", f"/recordings/{quote(id, safe='')}/access-link")
        address = str(link.get("download_link") or "")
        if not address.startswith(("https://", "http://")):  # Daily may put an explanation there
            raise DailyUnavailable("GET /recordings/:id/access-link", 200, "there is no link in the answer")
        return address

    def webhooks(self) -> list[Webhook]:
        return [_webhook(one) for one in self._call("GET", "/webhooks", "/webhooks")]

    def create_webhook(self, url: str, event_types: Collection[str], hmac: str) -> Webhook:
        """Create the webhook. Raises DailyRejected if `url` does not answer Daily's test request in time.

        What cannot be delivered is tried again for a while; Daily's other way stops for good after three failures.
        """
        body = {"url": url, "eventTypes": sorted(event_types), "hmac": hmac, "retryType": "exponential"}
        return _webhook(self._call("POST", "/webhooks", "/webhooks", body))

    def update_webhook(self, webhook: Webhook, event_types: Collection[str], hmac: str) -> Webhook:
        """Update the webhook, as `create_webhook`. It is active afterwards."""
        body = {"url": webhook.url, "eventTypes": sorted(event_types), "hmac": hmac}
        return _webhook(self._call("POST", "/webhooks/:uuid", f"/webhooks/{quote(webhook.uuid, safe='')}", body))

    def delete_webhook(self, webhook: Webhook) -> None:
        self._call("DELETE", "/webhooks/:uuid", f"/webhooks/{quote(webhook.uuid, safe='')}")

    def _call(self, method: str, pattern: str, path: str, body: Any = None) -> Any:
        route = f"{method} {pattern}"
        began = time.monotonic()
        try:
            answer = self._http.request(
                method, self._base + path, json=body, timeout=self.timeout, allow_redirects=False
            )
        except requests.RequestException as error:  # its text quotes the address, which may hold a token
            self.on_call(route, None, time.monotonic() - began)
            if _never_connected(error):
                raise DailyUnreachable(route, None, f"no connection ({type(error).__name__})") from None
            raise DailyUnavailable(route, None, f"no answer ({type(error).__name__})") from None
        self.on_call(route, answer.status_code, time.monotonic() - began)
        if answer.status_code != 200:
            raise _error(route, answer)
        try:
            return answer.json()
        except ValueError:
            raise DailyUnavailable(route, 200, "the answer is not JSON") from None


def _room(body: Any) -> DailyRoom:
    if not (isinstance(body, dict) and isinstance(body.get("name"), str) and isinstance(body.get("url"), str)):
        raise DailyUnavailable("room object", 200, "without name or url")
    exp = (body.get("config") or {}).get("exp")
    return DailyRoom(body["name"], body["url"], datetime.fromtimestamp(exp, UTC) if exp else None)


def _webhook(body: Any) -> Webhook:
    if not (isinstance(body, dict) and isinstance(body.get("uuid"), str)):
        raise DailyUnavailable("webhook object", 200, "without uuid")
    return Webhook(
        uuid=body["uuid"],
        url=str(body.get("url") or ""),
        event_types=frozenset(body.get("eventTypes") or ()),
        hmac=str(body.get("hmac") or ""),
        active=body.get("state") == "ACTIVE",
    )


def _error(route: str, answer: requests.Response) -> DailyError:
    """The error for a bad request. Daily answers {"error", "info"}, both optional.

    Only the text of `info`, which may change, tells a duplicate name from other bad requests.
    """
    try:
        body = json.loads(answer.text)
    except ValueError:
        body = {}
    body = body if isinstance(body, dict) else {}
    kind, info = str(body.get("error") or ""), str(body.get("info") or "")
    status, problem = answer.status_code, f"{kind} {info}".strip()[:300] or "without an explanation"
    if "dialOut" in route:
        problem = _NUMBER.sub("(number)", problem)
    if status == 429:
        limited = DailyRateLimited(route, status, problem)
        limited.retry_after = _seconds(answer.headers.get("Retry-After"))
        logger.warning('event=daily_rate_limited route="%s" retry_after=%s', route, limited.retry_after)
        return limited
    if status in (401, 403) or kind == "authorization-header-error":
        return DailyKeyRefused(route, status, problem)
    if status == 404:
        return RoomNotFound(route, status, problem)
    if status == 400 and "already exists" in info:
        return RoomExists(route, status, problem)
    if status == 400:
        return DailyRejected(route, status, problem)
    return DailyUnavailable(route, status, problem)


def _never_connected(error: requests.RequestException) -> bool:
    reason = getattr(error.args[0], "reason", None) if error.args else None
    return isinstance(error, requests.ConnectTimeout) or isinstance(reason, NewConnectionError)


def _seconds(header: str | None) -> float | None:
    try:
        return max(0.0, float(header)) if header else None
    except ValueError:
        return None
