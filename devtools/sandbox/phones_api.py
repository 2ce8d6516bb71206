"""Daily's dial-out endpoints, and the sandbox's own ones that script phones."""

from typing import Any

from devtools.sandbox.errors import invalid_request, no_such_room, quoted
from devtools.sandbox.phones import Script
from devtools.sandbox.rooms import Room
from devtools.sandbox.routing import Call, Route

START_PARAMETERS = (
    "phoneNumber",
    "sipUri",
    "displayName",
    "userId",
    "callerId",
    "extension",
    "waitBeforeExtensionDialSec",
    "video",
    "videoSettings",
    "codecs",
)


def start_dialout(call: Call) -> Any:
    """Dial a phone. The answer's `ok` is a string, as documented."""
    body = _known(call, START_PARAMETERS)
    world = call.world
    world.tick()
    dial = world.phones.start(_room(call), body, world.clock.now())
    return {"ok": "true", "sessionId": dial.id}


def stop_dialout(call: Call) -> Any:
    id = _known(call, ("sessionId",)).get("sessionId")
    if not isinstance(id, str):
        raise invalid_request("sessionId should be given")
    call.world.tick()
    call.world.phones.stop(_room(call), id, call.world.clock.now())
    return {"ok": "true"}


def _room(call: Call) -> Room:
    """Return the room. An expired room is an error: Daily says that its meeting is over."""
    room, expired = call.world.rooms.find(call.params["name"])
    if room is None or expired:
        raise no_such_room(call.params["name"])
    return room


def _known(call: Call, parameters: tuple[str, ...]) -> dict[str, Any]:
    body = call.json()
    for name in body:
        if name not in parameters:
            raise invalid_request(f"unknown parameter {quoted(name)}")
    return body


# --- control -----------------------------------------------------------------------------------------------


def get_dials(call: Call) -> Any:
    """Return every dial with its events so far."""
    call.world.tick()
    return {"dials": [dial.as_json() for dial in call.world.phones.all()]}


def set_usual(call: Call) -> Any:
    """`{"behaviour"?, "after_s"?, "talk_s"?}` for every phone without a script of its own."""
    call.world.phones.set_script(None, Script.from_json(call.json()))
    return {}


def set_phone(call: Call) -> Any:
    """`{"behaviour"?, "after_s"?, "talk_s"?}` for one number (or sip: address)."""
    call.world.phones.set_script(call.params["destination"], Script.from_json(call.json()))
    return {}


ROUTES = (
    Route("POST", "/rooms/{name}/dialOut/start", start_dialout, group="start"),
    Route("POST", "/rooms/{name}/dialOut/stop", stop_dialout),
)
CONTROL = (
    Route("GET", "/sandbox/dials", get_dials),
    Route("PUT", "/sandbox/phones", set_usual),
    Route("PUT", "/sandbox/phones/{destination}", set_phone),
)
