"""Runs one voice session in an agent process: calls the bot, watches it, and ends it.

How a session ends (`Ended.reason`), besides the reasons that the supervisor gives in `Stop`:

    bot_ended            the bot returned while the caller was there, or nobody can tell
    caller_left          the bot returned after the caller had gone
    bot_error            the bot raised; `Ended.error` says what
    session_limit        it lasted as long as a session may
    join_timeout         the bot was not in the room in time (only where the shell can see the room)
    join_failed          Daily (or the sandbox) refused the bot: `Ended.error` says why, `no_room` if the room is gone
    caller_never_joined  nobody came (only where the shell can see the room)
    phone_busy           the phone was not answered, and Daily or the carrier said why
    phone_no_answer
    phone_failed
    idle_timeout         the caller left and the bot stayed
    ejected              the room's owner or its expiry put the bot out (sandbox only)
    room_lost            the connection to the sandbox broke
"""

import asyncio
import logging
import sys
from collections.abc import Callable
from typing import Any

from pools import phone
from pools.agent import observe, prejoin
from pools.agent.arguments import runner_arguments
from pools.agent.reporting import current_report
from pools.agent.sandbox_room import JoinError, SandboxRoom, join_room, tell_of_entry
from pools.agent.warmup import Bot
from pools.logs.log_format import printable
from pools.logs.redaction import Redactor
from pools.protocol import CallerJoined, Ended, FirstAudio, Joined, Message, Start

logger = logging.getLogger(__name__)

CANCEL_SECONDS = 5.0  # for a bot to clean up when the session is ended from outside
CANCEL_UNJOINED_SECONDS = 1.0
_RESERVE_SECONDS = 0.5  # of a Stop's deadline, for leaving the room and delivering the report
_LONGEST_ERROR = 500
_LONGEST_CAUSE = 100
_NEVER_JOINED = "the bot returned without having joined its room"


class Session:
    """Hosts the bot until the session ends, for whichever reason comes first."""

    def __init__(self, start: Start, bot: Bot, send: Callable[[Message], None], redactor: Redactor) -> None:
        self._start = start
        self._bot = bot
        self._send = send
        self._redactor = redactor
        self._loop = asyncio.get_running_loop()
        self._decided: asyncio.Future[str] = self._loop.create_future()
        self._grace = CANCEL_SECONDS
        self._error = ""
        self._room: SandboxRoom | None = None
        self._cause = ""
        self._wants_words = self._heard_words = self._heard_speech = False
        self._joining = self._joined = self._caller_came = self._spoke = self._no_room = False
        self._callers: set[str] = set()
        self._waiting: asyncio.TimerHandle | None = None
        self._limit: asyncio.TimerHandle | None = None
        self.is_claimed = not start.prejoin

    # --- from outside ------------------------------------------------------------------------------------

    async def run(self) -> Ended:
        """Call the bot, and return the report when the session is over, the bot cancelled and the room left."""
        observe.listen(self)
        if self.is_claimed:
            self._limit_begins()
        else:
            prejoin.begin()
        if self._sees_the_room():
            self._waiting = self._loop.call_later(self._start.join_timeout, self._join_is_late)
        hosting = self._loop.create_task(self._host())
        await asyncio.wait({hosting, self._decided}, return_when=asyncio.FIRST_COMPLETED)
        if hosting.done():
            self._decide(hosting.result())
        else:
            hosting.cancel()
            # A bot outside of the room has no farewells to make, and may hang in its attempt to join.
            grace = self._grace if self._joined else min(self._grace, CANCEL_UNJOINED_SECONDS)
            await asyncio.wait({hosting}, timeout=grace)
        if self._limit is not None:
            self._limit.cancel()
        self._stop_waiting()
        if self._room is not None:
            await self._room.leave()
        return self._ended(self._decided.result())

    def claimed(self, body: dict[str, Any]) -> None:
        """Give a pre-joined bot the session's body and expect a caller."""
        if not self.is_claimed:
            self.is_claimed = True
            self._limit_begins()
            prejoin.deliver(body)
            if self._joined:
                self._expect(self._start.caller_timeout, "caller_never_joined")

    def _limit_begins(self) -> None:
        self._limit = self._loop.call_later(self._start.session_limit, self._decide, "session_limit")

    def stop(self, reason: str, deadline: float) -> None:
        """End the session within `deadline` seconds."""
        self._grace = max(0.0, deadline - _RESERVE_SECONDS)
        self._decide(reason)

    def fail(self, error: BaseException) -> None:
        """End the session because the bot stopped the event loop, for instance by sys.exit() in one of its tasks."""
        if _is_orderly(error):
            self._decide(self._ended_by_itself())
            return
        self._error = self._describe(error)
        self._decide("bot_error")

    # --- observe.Listener --------------------------------------------------------------------------------

    def bot_joined(self) -> None:
        if not self._joined:
            self._joined = True
            self._send(Joined(self._start.session))
            self._stop_waiting()
            if self.is_claimed:
                self._expect(self._start.caller_timeout, "caller_never_joined")

    def caller_joined(self, caller: str) -> None:
        self.bot_joined()
        self._callers.add(caller)
        if not self._start.phone:
            self._caller_is_here()

    def _caller_is_here(self) -> None:
        self._stop_waiting()
        if not self._caller_came:
            self._caller_came = True
            self._send(CallerJoined(self._start.session))

    def caller_left(self, caller: str) -> None:
        self._callers.discard(caller)
        if self._caller_came and not self._callers:
            self._expect(self._start.idle_timeout, "idle_timeout")

    def wants_words(self) -> None:
        self._wants_words = True

    def heard(self, *, words: bool) -> None:
        self._heard_words, self._heard_speech = self._heard_words or words, True

    def bot_spoke(self) -> None:
        if not self._spoke:
            self._spoke = True
            self._send(FirstAudio(self._start.session))

    def joining(self) -> None:
        self._joining = True

    def join_refused(self, words: str, *, no_room: bool) -> None:
        if not self._joined:
            self._no_room = no_room
            self._error = self._one_line(words)
            self._decide("join_failed")

    def error_seen(self, words: str) -> None:
        self._error = self._error or self._one_line(words)

    def phone(self, event: str, words: str) -> None:
        """Handle an event of the phone that is dialled for this session; calls that the bot makes are ignored."""
        if not self._start.phone:
            return
        if event == "answered":
            self._caller_is_here()
        elif event in ("stopped", "error") and not self._caller_came:
            self._cause = self._redactor.text(words)[:_LONGEST_CAUSE]
            self._decide(phone.end_reason(failed=event == "error", words=words))

    # --- inside ------------------------------------------------------------------------------------------

    async def _host(self) -> str:
        """Run the bot; return why it is no longer running."""
        try:
            await self._bot(await self._arguments())
        except JoinError as error:
            self._error, self._no_room = self._describe(error), error.no_room
            return "join_failed"
        except asyncio.CancelledError:
            return "bot_ended"
        except BaseException as error:  # including SystemExit, which would end the event loop
            if _is_orderly(error):
                return self._ended_by_itself()
            logger.exception("session=%s the bot raised", self._start.session)
            self._error = self._describe(error)
            return "bot_error"
        return self._ended_by_itself()

    def _ended_by_itself(self) -> str:
        if self._sees_the_room() and not self._joined:
            self.error_seen(_NEVER_JOINED)
        return "caller_left" if self._caller_came and not self._callers else "bot_ended"

    def _sees_the_room(self) -> bool:
        return self._start.sandbox or observe.sees_joins()

    async def _arguments(self) -> Any:
        """Prepare the bot's arguments. A room of the sandbox is entered by the bot's Daily transport or, if it has
        none, on the bot's behalf."""
        if self._start.sandbox:
            tell_of_entry(self._entered)
            if local_daily := sys.modules.get("pools.agent.local_daily"):
                local_daily.stand_in()
            else:
                await join_room(self._start.room_url, self._start.token)
        return runner_arguments(self._start)

    def _entered(self, room: SandboxRoom) -> None:
        self._room = room
        room.subscribe(self._room_changed)
        room.subscribe_to_phones(lambda event, data: self.phone(event, phone.words_in(data)))
        self._watching = self._loop.create_task(self._watch(room))
        self.bot_joined()

    async def _watch(self, room: SandboxRoom) -> None:
        if reason := await room.watch():
            self._decide(reason)

    def _room_changed(self, event: str, participant: dict[str, Any]) -> None:
        if event == "joined":
            self.caller_joined(participant["id"])
        else:
            self.caller_left(participant["id"])

    def _decide(self, reason: str) -> None:
        if not self._decided.done():
            self._decided.set_result(reason)

    def _join_is_late(self) -> None:
        late = f"not in the room after {self._start.join_timeout:g} s: "
        self.error_seen(
            late + ("Daily has not answered" if self._joining else "the bot has not started a Daily transport")
        )
        self._decide("join_timeout")

    def _expect(self, seconds: float, otherwise: str) -> None:
        """Start the deadline for the next expected event, in place of the previous one."""
        self._stop_waiting()
        self._waiting = self._loop.call_later(seconds, self._decide, otherwise)

    def _stop_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    def _ended(self, reason: str) -> Ended:
        report = current_report()
        watched = observe.sees_speech() and self._caller_came
        return Ended(
            session=self._start.session,
            reason=reason,
            outcome=report.outcome,
            transcript=report.transcript,
            detail=report.detail,
            error=self._error,
            cause=self._cause,
            phone_answered=self._start.phone and self._caller_came,
            no_room=self._no_room,
            never_spoke=watched and not self._spoke,
            never_heard=watched and not (self._heard_words if self._wants_words else self._heard_speech),
        )

    def _describe(self, error: BaseException) -> str:
        return self._one_line(f"{type(error).__name__}: {_words(error)}")

    def _one_line(self, words: str) -> str:
        return printable(self._redactor.text(" ".join(words.split())))[:_LONGEST_ERROR]


def _words(error: BaseException) -> str:
    """What it says. Of pydantic's only the wrong fields: its own words repeat the body, with a customer's data."""
    pydantic = sys.modules.get("pydantic")
    if pydantic is None or not isinstance(error, pydantic.ValidationError):
        return str(error)
    found = error.errors(include_url=False, include_context=False, include_input=False)
    return f"{error.title}: " + "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in found)


def _is_orderly(error: BaseException) -> bool:
    """Return whether it is `sys.exit()` or `sys.exit(0)`, by which a program reports success."""
    return isinstance(error, SystemExit) and error.code in (None, 0)
