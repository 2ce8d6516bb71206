"""Cloud recordings of meetings in rooms that allow them. They end with the meeting, and their files are silent."""

import secrets
import uuid
from dataclasses import dataclass, field
from typing import Any

from devtools.sandbox.errors import DailyError, invalid_request, quoted
from devtools.sandbox.presence import Participant, Tell

LINK_SECONDS = 3600
MAX_LINK_SECONDS = 43_200
PAGE = 100


@dataclass(eq=False)
class Recording:
    room_name: str
    start_ts: float
    meeting_id: str
    started_by: str
    max_participants: int = 1
    status: str = "in-progress"
    duration: float = 0.0
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    instance_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    links: dict[str, float] = field(default_factory=dict, repr=False)  # secret of a download link -> its end

    def as_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "room_name": self.room_name,
            "start_ts": int(self.start_ts),
            "status": self.status,
            "max_participants": self.max_participants,
            "duration": int(self.duration),
            "share_token": self.id[:8],
            "s3key": f"sandbox/{self.room_name}/{int(self.start_ts * 1000)}",
            "mtgSessionId": self.meeting_id,
            "tracks": [],
        }


class Recordings:
    """All recordings of the domain, newest last. They outlive their rooms."""

    def __init__(self) -> None:
        self._all: dict[str, Recording] = {}

    def get(self, id: str) -> Recording:
        if id not in self._all:
            raise DailyError(404, "not-found", f"recording {id} not found")
        return self._all[id]

    def of_room(self, name: str) -> Recording | None:
        """Return the recording in progress in a room."""
        return next((one for one in self._all.values() if one.room_name == name and one.status == "in-progress"), None)

    def start(self, room_name: str, by: Participant, now: float, tell: Tell) -> Recording:
        """Start a recording, once per meeting, even if several participants' tokens ask for it."""
        if running := self.of_room(room_name):
            return running
        recording = Recording(room_name, now, by.meeting_id, by.id)
        self._all[recording.id] = recording
        payload = {
            "action": "start-cloud-recording",
            "recording_id": recording.id,
            "layout": {"preset": "default"},
            "started_by": recording.started_by,
            "instance_id": recording.instance_id,
            "start_ts": int(now),
        }
        tell("recording.started", payload, f"rec-sta-{recording.instance_id}-{int(now)}")
        return recording

    def finish(self, room_name: str, now: float, tell: Tell) -> None:
        recording = self.of_room(room_name)
        if recording is None:
            return
        recording.status, recording.duration = "finished", max(1.0, now - recording.start_ts)
        known = recording.as_json()
        payload = {name: known[name] for name in ("room_name", "start_ts", "status", "max_participants", "duration")}
        payload |= {"type": "cloud", "recording_id": recording.id, "s3_key": known["s3key"], "tracks": []}
        tell("recording.ready-to-download", payload, f"rec-rtd-{recording.id}-{int(now)}")

    def page(self, room_name: str | None, limit: int, after: str | None) -> tuple[int, list[Recording]]:
        """Return recordings of one room or of all, newest first."""
        if not 1 <= limit <= PAGE:
            raise invalid_request(f"limit should be a number from 1 to {PAGE}")
        ordered = [one for one in reversed(self._all.values()) if room_name is None or one.room_name == room_name]
        begin = 0
        if after is not None:
            ids = [one.id for one in ordered]
            if after not in ids:
                raise invalid_request(f"no recording has the id {quoted(after)}")
            begin = ids.index(after) + 1
        return len(ordered), ordered[begin : begin + limit]

    def link(self, id: str, seconds: int, now: float) -> tuple[str, int]:
        """Return the secret of a new download link, and when the link expires."""
        recording = self.get(id)
        if recording.status != "finished":
            raise invalid_request("the recording is not finished")
        if not 1 <= seconds <= MAX_LINK_SECONDS:
            raise invalid_request(f"valid_for_secs should be a number from 1 to {MAX_LINK_SECONDS}")
        secret, expires = secrets.token_urlsafe(16), int(now) + seconds
        recording.links[secret] = expires
        return secret, expires

    def downloadable(self, id: str, secret: str, now: float) -> Recording:
        recording = self.get(id)
        if recording.links.get(secret, 0.0) <= now:
            raise DailyError(403, "forbidden-error", "the link is wrong or has expired")
        return recording

    def delete(self, id: str) -> None:
        del self._all[self.get(id).id]
