"""The pool of rooms of one pod: made at Daily, kept young, with meeting tokens where we cannot sign them.

Rows first, Daily after (in threads, see http_calls), rows again with what came of it. A row whose call failed is asked
for again under the same name, so that an unknown outcome costs nothing: Daily either makes the room or has it.
"""

import logging
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from pools.daily import account as daily_account
from pools.daily import budget
from pools.daily.client import DailyClient, DailyRoom, NewRoom
from pools.daily.errors import DailyError, DailyKeyRefused, DailyRateLimited, DailyRejected
from pools.daily.tokens import TokenSigner
from pools.decisions import planner
from pools.decisions.demand import TimeToReplace
from pools.decisions.targets import CONFIGURED, Target
from pools.http_calls import HttpCalls
from pools.metrics.pod import FAILURES
from pools.models import DailyAccount, Pod, Room, StoredTokens
from pools.rooms.stock import RoomStock
from pools.sessions.meeting_tokens import mint_pair
from pools.supervisor_config import SupervisorConfig

logger = logging.getLogger(__name__)

KEEP_ALIVE_S = 40.0  # Daily closes connections that have been idle for somewhat more than a minute
MAX_AT_ONCE = 100
FIRST_GUESS_S = 0.3  # a call to Daily; learned from the first on


class RoomPool:
    """`trouble`: why rooms cannot be made now, for people; empty when they can.

    `account` is what we know of it, perhaps from an earlier run: enough to sign tokens for rooms that exist. Until the
    key is `verified`, no rooms are made.
    """

    def __init__(self, config: SupervisorConfig, pod: Pod, client: DailyClient, calls: HttpCalls) -> None:
        self._config = config
        self._pod = pod
        self._client = client
        self._calls = calls
        self.target = Target(config.room_target, CONFIGURED)
        self.time_to_replace = TimeToReplace(FIRST_GUESS_S)
        self._stock = RoomStock(config, pod)
        self.backoff = planner.Backoff(base=0.5, ceiling=10.0)  # full again within seconds of its return
        self.trouble = ""
        self.refused = False  # Daily answers, but makes no room now: it has too many of ours, say
        self._recorded_trouble: str | None = None
        self.account = daily_account.recorded(client.api_key)
        self.verified = False
        self._verifying = False
        self._account_recorded = True
        self._last_call = 0.0
        self._unasked: list[Room] = []  # rows without a call under way
        self._since: dict[int, float] = {}  # when their rows were written
        self._asked: dict[str, Room] = {}  # by name
        self._made: list[tuple[Room, DailyRoom, StoredTokens | None]] = []
        self._refused: list[tuple[Room, str]] = []
        self._renewing: set[int] = set()
        self._renewed: list[tuple[Room, StoredTokens]] = []

    @property
    def signer(self) -> TokenSigner | None:
        if self.account is None or not (self.account.self_signed_tokens and self._config.self_signed_tokens):
            return None
        return TokenSigner(self._client.api_key, self.account.domain_id)

    # --- steps --------------------------------------------------------------------------------------------

    def record(self) -> bool:
        """Write what has come back from Daily; whether there was anything."""
        changed = bool(self._made or self._refused or self._renewed)
        while self._made:
            room, made, tokens = self._made[0]
            self._learn(room)
            if not room.become_available(url=made.url, expires_at=room.expires_at, tokens=tokens):
                room.end("came too late")
                room.exists_after_all()
            self._made.pop(0)
        while self._refused:
            room, problem = self._refused[0]
            room.end(problem[:100])
            self._since.pop(room.pk, None)
            self._refused.pop(0)
        while self._renewed:
            room, tokens = self._renewed[0]
            Room.objects.available().filter(pk=room.pk).update(**tokens.fields())
            self._renewed.pop(0)
        if self.account and not self._account_recorded:
            daily_account.record(self.account, self._client.api_key)
            self._account_recorded = changed = True
        if self.trouble != self._recorded_trouble:
            DailyAccount.objects.update_or_create(pk=1, defaults={"trouble": self.trouble})
            self._recorded_trouble = self.trouble
        return changed

    def replenish(self, now: float) -> None:
        """Verify the account, then make up the shortfall, retire the old, renew stored tokens."""
        if not self.verified:
            self._verify(now)
            return
        warming, available, old = self._stock.count()
        if not self.target.paused:
            self._make_up(warming, available, old)
        if self._unasked and self.backoff.allows(now):
            self._ask()
        if self.signer is None:
            self._renew(now)
        self._keep_connection_alive(now)

    def _make_up(self, warming: int, available: int, old: int) -> None:
        if surplus := planner.surplus(target=self.target.size, warming=warming, available=available):
            self._stock.end_surplus(surplus)
            return
        retire = planner.to_retire(old=old, warming=warming, target=self.target.size)
        if retire:
            available -= self._stock.retire(retire)
        if self._stock.shortfall(self.target.size, warming=warming, available=available):
            rows = self._stock.reserve_names(self.target.size)
            self._unasked += rows
            self._since |= dict.fromkeys((room.pk for room in rows), time.monotonic())

    @property
    def are_coming(self) -> bool:
        """Rooms are to be had yet, or the account's verification: `replenish` asks when it may."""
        return not self.verified or bool(self._unasked or self._asked)

    @property
    def is_steady(self) -> bool:
        """Nothing but rooms has to be got from Daily; whether there are enough is for the rows to say."""
        return not self.target.paused and (self.signer is not None or not self.verified)

    @property
    def full(self) -> bool:
        warming, available, _ = self._stock.count()
        return warming == 0 and available >= min(self.target.size, self._config.room_cap)

    def _learn(self, room: Room) -> None:
        if (since := self._since.pop(room.pk, None)) is not None:
            self.time_to_replace = self.time_to_replace.learned(time.monotonic() - since)

    @property
    def calls_a_room(self) -> int:
        """To Daily: made, deleted, and its two tokens minted where we cannot sign them."""
        return 2 if self.signer else 4

    def leave_to_others(self) -> None:
        """Make no more; what is in stock is given out and adopted as if this pod were gone."""
        while self._unasked:
            self._unasked[0].end("pod drained")
            self._unasked.pop(0)
        self._stock.leave_to_others()

    # --- Daily --------------------------------------------------------------------------------------------

    def _verify(self, now: float) -> None:
        if self._verifying or not self.backoff.allows(now):
            return
        if not budget.take(budget.Group.GENERAL, budget.Priority.REPLENISH, 2):
            return
        self._verifying = True

        def job() -> daily_account.Verification:
            return daily_account.verify(
                self._client, prefix=self._config.room_prefix, allow_self_signing=self._config.self_signed_tokens
            )

        self._submit(job, self._verified)

    def _verified(self, verification: daily_account.Verification | None, error: DailyError | None) -> None:
        self._verifying = False
        if verification is None:
            return
        self.account, self.verified, self._account_recorded = verification, True, False
        logger.info(
            "event=daily_verified domain=%s self_signed_tokens=%s %s",
            verification.domain_name,
            verification.self_signed_tokens,
            f"problem={verification.problem!r}" if verification.problem else "",
        )

    def _ask(self) -> None:
        """One batch for many, else a call for each, as far as the budget goes, and the threads that are free: one is
        left to the fleet's chores."""
        if self._calls.free <= 1:
            return
        rooms = self._unasked[:MAX_AT_ONCE]
        minting = self.signer is None
        if (
            len(rooms) >= planner.BATCH_FROM
            and not minting
            and budget.take(budget.Group.BATCH, budget.Priority.REPLENISH)
        ):
            self._ask_for(rooms, lambda new: [(room, None) for room in self._client.create_rooms(new)])
            return
        calls = 3 if minting else 1
        for room in rooms:
            if self._calls.free <= 1 or not budget.take(budget.Group.GENERAL, budget.Priority.REPLENISH, calls):
                return
            self._ask_for([room], self._make_one)

    def _make_one(self, new: list[NewRoom]) -> list[tuple[DailyRoom, StoredTokens | None]]:
        made = self._client.create_room(new[0])
        tokens = None
        if self.signer is None:
            life = timedelta(seconds=self._config.room_life)
            tokens = mint_pair(self._client, made.name, life, recorded=new[0].recorded)
        return [(made, tokens)]

    def _ask_for(
        self,
        rooms: list[Room],
        make: Callable[[list[NewRoom]], list[tuple[DailyRoom, StoredTokens | None]]],
    ) -> None:
        new = [
            NewRoom(
                room.name,
                room.expires_at,
                self._config.room_geo,
                recorded=room.recorded,
                dialout=self._config.room_dialout,
            )
            for room in rooms
        ]
        for room in rooms:
            self._unasked.remove(room)
            self._asked[room.name] = room

        def done(result: list[tuple[DailyRoom, StoredTokens | None]] | None, error: DailyError | None) -> None:
            for made, tokens in result or []:
                row = self._asked.pop(made.name, None)
                if row:
                    self._made.append((row, made, tokens))
            left = [self._asked.pop(room.name) for room in rooms if room.name in self._asked]
            if isinstance(error, DailyRejected):
                self._refused += [(room, str(error)) for room in left]
            else:
                self._unasked += left

        self._submit(lambda: make(new), done)

    def _renew(self, now: float) -> None:
        """Stored tokens must outlast a session at the hand-out; rooms without any get theirs."""
        if not self.backoff.allows(now):
            return
        fresh = Room.objects.with_fresh_tokens(self._stock.life_needed)
        stale = Room.objects.available().filter(pod=self._pod).exclude(pk__in=fresh.values("pk"))
        for room in stale.exclude(pk__in=self._renewing)[:MAX_AT_ONCE]:
            if self._calls.free <= 1 or not budget.take(budget.Group.GENERAL, budget.Priority.REPLENISH, 2):
                return
            self._renewing.add(room.pk)
            self._submit(self._mint_job(room), self._renewal_done(room))

    def _mint_job(self, room: Room) -> Callable[[], StoredTokens]:
        life = timedelta(seconds=self._config.room_life)
        return lambda: mint_pair(self._client, room.name, life, recorded=room.recorded)

    def _renewal_done(self, room: Room) -> Callable[[StoredTokens | None, DailyError | None], None]:
        def done(tokens: StoredTokens | None, error: DailyError | None) -> None:
            self._renewing.discard(room.pk)
            if tokens:
                self._renewed.append((room, tokens))

        return done

    def _keep_connection_alive(self, now: float) -> None:
        """A new connection costs three times a call: the next room must not pay for it."""
        quiet = now - self._last_call > KEEP_ALIVE_S and self.backoff.allows(now)
        if quiet and budget.take(budget.Group.GENERAL, budget.Priority.CLEAN_UP):
            self._submit(self._client.domain, lambda domain, error: None)

    def _submit(self, job: Callable[[], Any], done: Callable[[Any, DailyError | None], None]) -> None:
        def finished(result: Any, error: DailyError | None) -> None:
            if error:
                self._failed(error, time.monotonic())
            else:
                self._succeeded()
            done(result, error)

        self._last_call = time.monotonic()
        self._calls.submit(job, finished)

    def _succeeded(self) -> None:
        if self.trouble:
            logger.info("event=daily_back")
        self.backoff, self.trouble, self.refused = self.backoff.succeeded(), "", False

    def _failed(self, error: DailyError, now: float) -> None:
        """Back off; say it once, and again when the reason changes."""
        FAILURES.labels("daily").inc()
        retry_after = error.retry_after if isinstance(error, DailyRateLimited) else None
        self.backoff = self.backoff.failed(now, at_least=retry_after or 0.0)
        trouble = str(error)
        if isinstance(error, DailyKeyRefused):
            trouble = f"Daily refuses the API key (HTTP {error.status}): check DAILY_API_KEY"
            self.verified = False
        if trouble != self.trouble:
            logger.error('event=daily_trouble problem="%s" retry_in=%.1f', trouble, self.backoff.until - now)
        self.trouble = trouble
        self.refused = isinstance(error, DailyRejected)
