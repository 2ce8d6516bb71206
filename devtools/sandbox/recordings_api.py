"""Daily's `/recordings` endpoints, and the download of the sandbox's files."""

from pathlib import Path
from typing import Any

from devtools.sandbox.errors import DailyError, invalid_request
from devtools.sandbox.recordings import LINK_SECONDS
from devtools.sandbox.routing import Call, Route

SILENCE = Path(__file__).with_name("silence.mp4").read_bytes()  # ten seconds: AAC-LC, mono, 44.1 kHz


def start_recording(call: Call) -> Any:
    """Start a recording of the room's current meeting, if the room allows it."""
    world, name = call.world, call.params["name"]
    room = world.rooms.get(name)
    present = world.presence.in_room(room.id)
    if not present:
        raise DailyError(404, "not-found", f"room {name} has no session")
    if room.config.get("enable_recording") != "cloud":
        raise invalid_request("the room does not allow cloud recordings")
    world.recordings.start(name, present[0], world.clock.now(), world.tell)
    return {"status": "sent"}


def stop_recording(call: Call) -> Any:
    call.world.rooms.get(call.params["name"])
    call.world.recordings.finish(call.params["name"], call.world.clock.now(), call.world.tell)
    return {"status": "sent"}


def list_recordings(call: Call) -> Any:
    limit = call.number_in_query("limit", 100)
    total, page = call.world.recordings.page(call.query.get("room_name"), limit, call.query.get("starting_after"))
    return {"total_count": total, "data": [recording.as_json() for recording in page]}


def get_recording(call: Call) -> Any:
    return call.world.recordings.get(call.params["id"]).as_json()


def get_access_link(call: Call) -> Any:
    id, seconds = call.params["id"], call.number_in_query("valid_for_secs", LINK_SECONDS)
    secret, expires = call.world.recordings.link(id, seconds, call.world.clock.now())
    return {"download_link": f"{call.origin}/sandbox/recordings/{id}?key={secret}", "expires": expires}


def delete_recording(call: Call) -> Any:
    call.world.recordings.delete(call.params["id"])
    return {"deleted": True, "id": call.params["id"]}


def download(call: Call) -> bytes:
    """Ten seconds of silence, however long the recording says it is. No API key: what is in the link is enough, as at
    the storage that Daily uses."""
    call.world.recordings.downloadable(call.params["id"], call.query.get("key", ""), call.world.clock.now())
    return SILENCE


ROUTES = (
    Route("POST", "/rooms/{name}/recordings/start", start_recording, group="start"),
    Route("POST", "/rooms/{name}/recordings/stop", stop_recording),
    Route("GET", "/recordings", list_recordings, group="list-recordings"),
    Route("GET", "/recordings/{id}", get_recording),
    Route("GET", "/recordings/{id}/access-link", get_access_link),
    Route("DELETE", "/recordings/{id}", delete_recording),
)
DOWNLOADS = (Route("GET", "/sandbox/recordings/{id}", download),)
