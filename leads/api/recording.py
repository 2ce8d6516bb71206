"""`GET /leads/recording/{call_sid}` streams the recording of a call from Daily to the caller."""

import logging
import re
import threading
from collections.abc import Iterator

from django.http import HttpResponseBase, StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.exceptions import APIException, NotFound
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from access.scope import scope_of
from common.errors import Unavailable
from common.openapi import UNAUTHENTICATED, UNAVAILABLE, problem
from leads.visibility import leads_of
from pools.daily import refusals
from pools.daily.account import daily_client
from pools.daily.recordings import BudgetUsed, DownloadFailed, NoRecording, NoSuchRange, OpenRecording, open_recording

logger = logging.getLogger(__name__)

CALL_SID = re.compile(r"[A-Za-z0-9_-]{1,128}")  # a room's name
AT_ONCE = threading.BoundedSemaphore(4)  # half of a gunicorn worker's threads: a slow client occupies one
NO_SUCH_RANGE = "The recording has no such range of bytes."


class DownloadProblem(APIException):
    status_code = 502
    default_detail = "Failed to download recording from Daily"


class Streamed:
    """A recording that is being sent. Closing the response closes the file and frees its place in AT_ONCE."""

    def __init__(self, recording: OpenRecording) -> None:
        self._recording: OpenRecording | None = recording

    def __iter__(self) -> Iterator[bytes]:
        if self._recording is not None:
            yield from self._recording

    def close(self) -> None:
        if self._recording is not None:
            self._recording.close()
            self._recording = None
            AT_ONCE.release()


class RecordingView(APIView):
    @extend_schema(
        summary="Download the recording of a call",
        description="An MP4 file with the audio of the call. One range of bytes may be requested.",
        tags=["leads"],
        parameters=[
            OpenApiParameter("call_sid", str, OpenApiParameter.PATH, description="The lead's `call_id`."),
            OpenApiParameter("Range", str, OpenApiParameter.HEADER, description="Such as `bytes=0-65535`."),
        ],
        responses={
            (200, "audio/mp4"): OpenApiTypes.BINARY,
            (206, "audio/mp4"): OpenApiTypes.BINARY,
            404: problem(
                "No such call in this scope, or no recording of it (yet)",
                "Recording not found for call_sid: bb-01k9zq3v7t",
            ),
            416: problem("The file has no such range", NO_SUCH_RANGE),
            502: problem("Daily does not deliver it", DownloadProblem.default_detail),
            **UNAUTHENTICATED,
            **UNAVAILABLE,
        },
    )
    def get(self, request: Request, call_sid: str) -> HttpResponseBase:
        not_found = NotFound(f"Recording not found for call_sid: {call_sid[:128]}")
        if not CALL_SID.fullmatch(call_sid):
            raise not_found
        lead = (
            leads_of(scope_of(request))
            .select_related("voice_session")
            .filter(voice_session__room__name=call_sid)
            .first()
        )
        if lead is None or lead.voice_session is None:
            raise not_found
        if not AT_ONCE.acquire(blocking=False):
            logger.warning("event=recording_refused reason='too many at one time'")
            raise Unavailable("Enough recordings are being sent already.", retry_after=5)
        try:
            range_ = request.headers.get("Range", "")
            recording = open_recording(daily_client(), call_sid, lead.voice_session.recording_id, range_)
        except BaseException as error:
            AT_ONCE.release()
            refusals.write()
            match error:
                case NoRecording():
                    raise not_found from None
                case NoSuchRange():
                    size = {"Content-Range": error.size} if error.size else None
                    return Response({"detail": NO_SUCH_RANGE}, status=416, headers=size)
                case DownloadFailed():
                    raise DownloadProblem from None
                case BudgetUsed():
                    logger.warning("event=recording_refused reason='Daily rate limit'")
                    raise Unavailable("Daily's rate limit is used up.", retry_after=10) from None
            raise
        return _answer(call_sid, recording)


def _answer(call_sid: str, recording: OpenRecording) -> StreamingHttpResponse:
    headers = {**recording.headers, "Content-Disposition": f'inline; filename="recording_{call_sid}.mp4"'}
    return StreamingHttpResponse(
        Streamed(recording), status=recording.status, content_type="audio/mp4", headers=headers
    )
