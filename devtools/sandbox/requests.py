"""Requests of an owner in a room, as with Daily's client SDK: to dial out and to record."""

from collections.abc import Callable
from typing import Any

from devtools.sandbox.errors import DailyError, invalid_request
from devtools.sandbox.presence import Participant
from devtools.sandbox.rooms import Room
from devtools.sandbox.world import World


def answer(world: World, asking: Participant, message: dict[str, Any]) -> dict[str, Any]:
    """Answer `{"do": ..., "with": {...}}`. A refusal is `{"error": text}`."""
    verb, settings = _VERBS.get(str(message.get("do"))), message.get("with")
    if verb is None or not isinstance(settings, dict):
        return {"error": "unknown request"}
    if not asking.owner:
        return {"error": "not an owner of the meeting"}
    world.tick()
    room, expired = world.rooms.find(asking.room_name)
    if room is None or expired:
        return {"error": "the meeting is over"}
    try:
        return verb(world, room, asking, settings)
    except DailyError as error:
        return {"error": str(error.body.get("info", error.body["error"]))}


def _start_dialout(world: World, room: Room, _asking: Participant, settings: dict[str, Any]) -> dict[str, Any]:
    return {"sessionId": world.phones.start(room, settings, world.clock.now()).id}


def _stop_dialout(world: World, room: Room, _asking: Participant, settings: dict[str, Any]) -> dict[str, Any]:
    world.phones.stop(room, str(settings.get("sessionId")), world.clock.now())
    return {}


def _start_recording(world: World, room: Room, asking: Participant, _settings: dict[str, Any]) -> dict[str, Any]:
    if room.config.get("enable_recording") != "cloud":
        raise invalid_request("the room does not allow cloud recordings")
    return {"recordingId": world.recordings.start(room.name, asking, world.clock.now(), world.tell).id}


def _stop_recording(world: World, room: Room, _asking: Participant, _settings: dict[str, Any]) -> dict[str, Any]:
    recording = world.recordings.of_room(room.name)
    if recording is None:
        raise invalid_request("nothing is recorded")
    world.recordings.finish(room.name, world.clock.now(), world.tell)
    return {"recordingId": recording.id}


_VERBS: dict[str, Callable[[World, Room, Participant, dict[str, Any]], dict[str, Any]]] = {
    "start-dialout": _start_dialout,
    "stop-dialout": _stop_dialout,
    "start-recording": _start_recording,
    "stop-recording": _stop_recording,
}
