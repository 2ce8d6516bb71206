"""Finds the recording of a room at Daily and opens it as a stream."""

import logging
from collections.abc import Iterator
from types import TracebackType

import requests

from pools.daily import budget
from pools.daily.client import DailyClient
from pools.daily.errors import DailyError, DailyRejected, RoomNotFound

logger = logging.getLogger(__name__)

CHUNK_BYTES = 64 * 1024
TIMEOUT = (4.0, 10.0)  # seconds to connect, seconds without a byte
PASSED_ON = ("Content-Length", "Content-Range", "Accept-Ranges")


class NoRecording(Exception):
    """There is no recording, or it is not finished."""


class NoSuchRange(Exception):
    """The file has no such range. `size`: the header Content-Range of the storage, with the size of the file."""

    def __init__(self, size: str) -> None:
        super().__init__("the file has no such range")
        self.size = size


class DownloadFailed(Exception):
    """There may be a recording, but Daily does not give it now."""


class BudgetUsed(Exception):
    """The budget of calls to Daily is used up; try again in some seconds."""


class OpenRecording:
    """The file as a stream. Iterate over it once, and close it in any case."""

    def __init__(self, response: requests.Response) -> None:
        self._response = response
        self.status = response.status_code
        self.headers = {name: response.headers[name] for name in PASSED_ON if name in response.headers}

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._response.iter_content(CHUNK_BYTES)
        except requests.RequestException as error:  # its text quotes the link
            logger.warning("event=recording_cut_off problem=%s", type(error).__name__)
            raise DownloadFailed("it broke off") from None

    def close(self) -> None:
        self._response.close()

    def __enter__(self) -> "OpenRecording":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()


def open_recording(client: DailyClient, room_name: str, recording_id: str = "", range_: str = "") -> OpenRecording:
    """Open a recording of a room: the one with `recording_id`, else the newest finished one. `range_`: header Range.

    Raises NoRecording, NoSuchRange, DownloadFailed, BudgetUsed.
    """
    try:
        _take(budget.Group.GENERAL)
        link = client.recording_link(recording_id or _find(client, room_name))
    except (RoomNotFound, DailyRejected):
        raise NoRecording from None
    except DailyError as error:
        logger.warning('event=recording_failed room=%s problem="%s"', room_name, error)
        raise DownloadFailed("Daily does not say where it is") from None
    headers = {"Accept-Encoding": "identity"} | ({"Range": range_} if range_ else {})
    try:  # without the API key: the storage is somebody else's
        response = requests.get(link, headers=headers, stream=True, timeout=TIMEOUT, allow_redirects=False)
    except requests.RequestException as error:
        logger.warning("event=recording_failed room=%s problem=%s", room_name, type(error).__name__)
        raise DownloadFailed("its storage does not answer") from None
    if response.status_code not in (200, 206):
        response.close()
        if response.status_code == 416:
            raise NoSuchRange(response.headers.get("Content-Range", ""))
        logger.warning("event=recording_failed room=%s status=%d", room_name, response.status_code)
        raise DownloadFailed("its storage refuses")
    return OpenRecording(response)


def _find(client: DailyClient, room_name: str) -> str:
    _take(budget.Group.DELETE)  # Daily's limit for listing recordings is the same
    finished = [recording.id for recording in client.recordings(room_name) if recording.finished]
    if not finished:
        raise NoRecording
    return finished[0]


def _take(group: budget.Group) -> None:
    if not budget.take(group, budget.Priority.ON_DEMAND):
        raise BudgetUsed
