"""Daily's REST endpoints."""

from typing import Any

from devtools.sandbox import phones_api, recordings_api, webhooks_api
from devtools.sandbox.errors import DailyError, invalid_request, no_such_room, quoted
from devtools.sandbox.presence import Participant
from devtools.sandbox.routing import Call, Route

EJECT_IDS = 100


def get_domain(call: Call) -> Any:
    world = call.world
    return {
        "domain_name": world.options.domain,
        "domain_id": world.domain_id,
        "config": {"max_api_rooms": world.rooms.max_api_rooms},
    }


# --- rooms -------------------------------------------------------------------------------------------------


def create_room(call: Call) -> Any:
    return call.world.rooms.create(call.json()).as_json(call.origin)


def list_rooms(call: Call) -> Any:
    limit = call.number_in_query("limit", 100)
    total, rooms = call.world.rooms.page(limit, call.query.get("starting_after"), call.query.get("ending_before"))
    return {"total_count": total, "data": [room.as_json(call.origin) for room in rooms]}


def get_room(call: Call) -> Any:
    return call.world.rooms.get(call.params["name"]).as_json(call.origin)


def update_room(call: Call) -> Any:
    return call.world.rooms.update(call.params["name"], call.json()).as_json(call.origin)


def delete_room(call: Call) -> Any:
    name = call.params["name"]
    if not call.world.delete_room(name):
        raise no_such_room(name, deleted=True)
    return {"deleted": True, "name": name}


def create_rooms(call: Call) -> Any:
    wanted = call.json().get("rooms")
    if not isinstance(wanted, list):
        raise invalid_request("rooms should be a list of rooms")
    return [room.as_json(call.origin) for room in call.world.rooms.create_batch(wanted)]


def delete_rooms(call: Call) -> Any:
    body = call.json()
    return {"deleted_count": call.world.delete_rooms(body.get("room_names", body.get("rooms")))}


# --- meeting tokens ----------------------------------------------------------------------------------------


def create_token(call: Call) -> Any:
    body = call.json()
    unknown = [name for name in body if name != "properties"]
    if unknown:
        raise invalid_request(f"unknown parameter {quoted(unknown[0])}")
    return {"token": call.world.tokens.mint(body.get("properties", {}))}


def get_token(call: Call) -> Any:
    ignore_nbf = call.query.get("ignoreNbf", "").lower() == "true"
    return call.world.tokens.describe(call.params["token"], ignore_nbf=ignore_nbf)


# --- presence ----------------------------------------------------------------------------------------------


def get_presence(call: Call) -> Any:
    now, by_room = call.world.clock.now(), dict[str, list[Any]]()
    for participant in _seen(call):
        by_room.setdefault(participant.room_name, []).append(participant.as_presence(now))
    return by_room


def get_room_presence(call: Call) -> Any:
    """Answer 404 for a room that does not exist and has nobody inside (Daily's answer is unknown)."""
    name, now = call.params["name"], call.world.clock.now()
    present = [p for p in _seen(call) if p.room_name == name]
    if not present:
        call.world.rooms.get(name)
    for parameter, attribute in (("userId", "user_id"), ("userName", "user_name")):
        if parameter in call.query:
            present = [p for p in present if getattr(p, attribute) == call.query[parameter]]
    limit = call.number_in_query("limit", len(present))
    return {"total_count": len(present), "data": [p.as_presence(now) for p in present[:limit]]}


def _seen(call: Call) -> list[Participant]:
    call.world.tick()
    return call.world.presence.seen(call.world.clock.now(), call.world.presence_lag_s)


def eject(call: Call) -> Any:
    """Eject participants from a room with a meeting. Unknown ids are no error."""
    world, name, body = call.world, call.params["name"], call.json()
    unknown = [key for key in body if key not in ("ids", "user_ids", "ban")]
    if unknown:
        raise invalid_request(f"unknown parameter {quoted(unknown[0])}")
    ids, user_ids, ban = body.get("ids") or [], body.get("user_ids") or [], body.get("ban", False)
    for key, value in (("ids", ids), ("user_ids", user_ids)):
        if not isinstance(value, list) or not all(isinstance(id, str) for id in value) or len(value) > EJECT_IDS:
            raise invalid_request(f"{key} should be a list of at most {EJECT_IDS} strings")
    if not isinstance(ban, bool):
        raise invalid_request(f"ban was {quoted(ban)} but should be a boolean")
    if not ids and not user_ids:
        raise invalid_request("ids or user_ids should be given")
    world.tick()
    room, _ = world.rooms.find(name)
    present = world.presence.in_room(room.id) if room else []
    if room is None or not present:
        raise DailyError(404, "not-found", f"room {name} has no session")
    chosen = [p for p in present if p.id in ids or (p.user_id is not None and p.user_id in user_ids)]
    if ban:
        world.presence.ban(room.id, {*user_ids, *(p.user_id for p in chosen if p.user_id is not None)})
    world.presence.eject(chosen, "ejected-by-api", world.clock.now())
    return {"ejectedIds": [p.id for p in chosen]}


ROUTES = (
    Route("GET", "/", get_domain),
    Route("POST", "/rooms", create_room),
    Route("GET", "/rooms", list_rooms),
    Route("GET", "/rooms/{name}", get_room),
    Route("POST", "/rooms/{name}", update_room),
    Route("DELETE", "/rooms/{name}", delete_room, group="delete-room"),
    Route("GET", "/rooms/{name}/presence", get_room_presence),
    Route("POST", "/rooms/{name}/eject", eject),
    Route("POST", "/batch/rooms", create_rooms, group="batch"),
    Route("DELETE", "/batch/rooms", delete_rooms, group="batch"),
    Route("POST", "/meeting-tokens", create_token),
    Route("GET", "/meeting-tokens/{token}", get_token),
    Route("GET", "/presence", get_presence),
    *phones_api.ROUTES,
    *recordings_api.ROUTES,
    *webhooks_api.ROUTES,
)
