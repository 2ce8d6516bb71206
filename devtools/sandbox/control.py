"""The sandbox's own endpoints, below /sandbox, with the API key: they show its state, change settings, add faults."""

from typing import Any

from devtools.sandbox import phones_api
from devtools.sandbox.errors import invalid_request, no_such_room, quoted
from devtools.sandbox.latency import MAX_MS
from devtools.sandbox.presence import MAX_LAG_SECONDS
from devtools.sandbox.properties import is_number
from devtools.sandbox.routing import Call, Route

MAX_OFFSET_SECONDS = 10 * 365 * 86_400.0
MAX_WINDOW_SECONDS = 3600.0


def get_counters(call: Call) -> Any:
    return call.world.counters()


def get_rooms(call: Call) -> Any:
    return {"rooms": call.world.rooms.names()}


def get_participants(call: Call) -> Any:
    """Return who is in a room now, without the lag of the presence endpoints."""
    call.world.tick()
    room, _ = call.world.rooms.find(call.params["name"])
    if room is None:
        raise no_such_room(call.params["name"])
    return {"participants": [p.as_event() for p in call.world.presence.in_room(room.id)]}


def get_everybody(call: Call) -> Any:
    """Return the participants of all rooms: name -> participants."""
    call.world.tick()
    rooms: dict[str, list[Any]] = {}
    for participant in call.world.presence.everybody():
        rooms.setdefault(participant.room_name, []).append(participant.as_event())
    return {"rooms": rooms}


def get_faults(call: Call) -> Any:
    return {"faults": call.world.faults.as_json()}


def add_fault(call: Call) -> Any:
    """`{"kind", "method"?, "path"?, "times"?, "retry_after"?}`, see faults.py."""
    return {"id": call.world.faults.add(call.json()).id}


def clear_faults(call: Call) -> Any:
    call.world.faults.clear()
    return get_faults(call)


def remove_fault(call: Call) -> Any:
    id = call.params["id"]
    call.world.faults.remove(int(id) if id.isascii() and id.isdigit() and len(id) < 10 else 0)
    return get_faults(call)


def set_latency(call: Call) -> Any:
    """`{"latency_ms", "connect_ms"?}`"""
    body = _known(call, "latency_ms", "connect_ms")
    call_ms = _number(body, "latency_ms", 0, MAX_MS)
    connect_ms = None if body.get("connect_ms") is None else _number(body, "connect_ms", 0, MAX_MS)
    call.world.latency.set(call_ms, connect_ms)
    return {"latency_ms": call.world.latency.call_ms, "connect_ms": call.world.latency.connect_ms}


def set_clock(call: Call) -> Any:
    """`{"offset_s"}` (relative to real time) or `{"advance_s"}` (relative to the sandbox's time)."""
    body = _known(call, "offset_s", "advance_s")
    clock = call.world.clock
    offset = clock.offset + _number(body, "advance_s", -MAX_OFFSET_SECONDS, MAX_OFFSET_SECONDS, default=0.0)
    if "offset_s" in body:
        offset = _number(body, "offset_s", -MAX_OFFSET_SECONDS, MAX_OFFSET_SECONDS)
    clock.offset = max(-MAX_OFFSET_SECONDS, min(MAX_OFFSET_SECONDS, offset))
    call.world.tick()
    return {"offset_s": clock.offset, "now": clock.now()}


def set_presence(call: Call) -> Any:
    """`{"lag_s"}`, 0 to 15"""
    call.world.presence_lag_s = _number(_known(call, "lag_s"), "lag_s", 0, MAX_LAG_SECONDS)
    return {"lag_s": call.world.presence_lag_s}


def set_limits(call: Call) -> Any:
    """`{"enabled"?, "per_route"?, "retry_after"?, "max_api_rooms"?, "groups"?: {group: {"limit", "seconds"}}}`"""
    body = _known(call, "enabled", "per_route", "retry_after", "max_api_rooms", "groups")
    limits, rooms = call.world.limits, call.world.rooms
    switches = {name: body[name] for name in ("enabled", "per_route", "retry_after") if name in body}
    for name, value in switches.items():
        if not isinstance(value, bool):
            raise invalid_request(f"{name} was {quoted(value)} but should be a boolean")
    quota = body.get("max_api_rooms", rooms.max_api_rooms)
    if quota is not None and not (is_number(quota) and isinstance(quota, int) and quota >= 0):
        raise invalid_request(f"max_api_rooms was {quoted(quota)} but should be a number or null")
    changes = _group_changes(body.get("groups", {}), set(limits.groups))
    for name, value in switches.items():
        setattr(limits.settings, name, value)
    rooms.max_api_rooms = quota
    for group, (limit, seconds) in changes.items():
        limits.change(group, limit, seconds)
    return {"groups": {name: {"limit": n, "seconds": s} for name, (n, s) in limits.groups.items()}}


def _group_changes(groups: object, known: set[str]) -> dict[str, tuple[int, float]]:
    if not isinstance(groups, dict) or not set(groups) <= known:
        raise invalid_request(f"groups should be an object with some of {', '.join(sorted(known))}")
    changes = {}
    for group, limit in groups.items():
        if not isinstance(limit, dict):
            raise invalid_request(f"{group} should be an object with limit and seconds")
        calls = _number(limit, "limit", 0, 100_000)
        changes[group] = (int(calls), _number(limit, "seconds", 0.001, MAX_WINDOW_SECONDS))
    return changes


def change_key(call: Call) -> Any:
    """`{"api_key"}`: the new key, at least 16 characters. This call itself needs the old key."""
    key = _known(call, "api_key").get("api_key")
    if not isinstance(key, str) or not key.isascii() or len(key) < 16:
        raise invalid_request("api_key should be a string of at least 16 ASCII characters")
    call.world.change_key(key)
    return {}


def reset(call: Call) -> Any:
    call.world.reset()
    return {}


def _known(call: Call, *names: str) -> dict[str, Any]:
    body = call.json()
    for name in body:
        if name not in names:
            raise invalid_request(f"unknown parameter {quoted(name)}")
    return body


def _number(body: dict[str, Any], name: str, low: float, high: float, default: float | None = None) -> float:
    value = body.get(name, default)
    if not is_number(value) or not low <= value <= high:
        raise invalid_request(f"{name} was {quoted(value)} but should be a number from {low:g} to {high:g}")
    return value


ROUTES = (
    Route("GET", "/sandbox/counters", get_counters),
    Route("GET", "/sandbox/rooms", get_rooms),
    Route("GET", "/sandbox/rooms/{name}/participants", get_participants),
    Route("GET", "/sandbox/participants", get_everybody),
    Route("GET", "/sandbox/faults", get_faults),
    Route("POST", "/sandbox/faults", add_fault),
    Route("DELETE", "/sandbox/faults", clear_faults),
    Route("DELETE", "/sandbox/faults/{id}", remove_fault),
    Route("PUT", "/sandbox/latency", set_latency),
    Route("PUT", "/sandbox/clock", set_clock),
    Route("PUT", "/sandbox/presence", set_presence),
    Route("PUT", "/sandbox/limits", set_limits),
    Route("PUT", "/sandbox/api-key", change_key),
    Route("POST", "/sandbox/reset", reset),
    *phones_api.CONTROL,
)
