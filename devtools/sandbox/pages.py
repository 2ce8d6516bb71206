"""Serves the page of a room, on which a person can talk to its bot, and the page's files."""

import html
from functools import cache
from pathlib import Path

from aiohttp import web

PREFIX = "/sandbox/page/"
_DIRECTORY = Path(__file__).parent / "page"
_TYPES = {".js": "text/javascript", ".css": "text/css"}
_HEADERS = {
    # The token is in the address: it goes to nobody else, and the page runs nobody else's code.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "connect-src 'self' ws: wss:; media-src 'self' blob:; base-uri 'none'; form-action 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


def room_page(name: str) -> web.Response:
    """Return the page. It finds out whether the room exists and may be joined when it joins, as at Daily."""
    return _page(_read("room.html").replace("{name}", html.escape(name)), "text/html")


def hint_page() -> web.Response:
    """Return the page at `/`, for people who open the sandbox's address in a browser."""
    return _page(_read("hint.html"), "text/html")


def page_file(name: str) -> web.Response | None:
    """Return a file of the page, or None if it does not exist."""
    path = _DIRECTORY / Path(name).name
    if path.suffix not in _TYPES or not path.is_file():
        return None
    return _page(_read(path.name), _TYPES[path.suffix])


def _page(text: str, content_type: str) -> web.Response:
    return web.Response(text=text, content_type=content_type, charset="utf-8", headers=_HEADERS)


@cache
def _read(name: str) -> str:
    return (_DIRECTORY / name).read_text()
