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
from pools.rooms.rooms_in_hand import RoomInHand, RoomsInHand, Step
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
        self._in_hand = RoomsInHand()

    @property
    def signer(self) -> TokenSigner | None:
        if self.account is None or not (self.account.self_signed_tokens and self._config.self_signed_tokens):
            return None
        return TokenSigner(self._client.api_key, self.account.domain_id)

    # --- steps --------------------------------------------------------------------------------------------

    def record(self) -> bool:
        """Write what has come back from Daily; whether there was anything."""
        changed = False
        for room in self._in_hand.at(Step.MADE, Step.REFUSED, Step.RENEWED):
            self._record_one(room)
            self._in_hand.forget(room)
            changed = True
        if self.account and not self._account_recorded:
            daily_account.record(self.account, self._client.api_key)
            self._account_recorded = changed = True
        if self.trouble != self._recorded_trouble:
            DailyAccount.objects.update_or_create(pk=1, defaults={"trouble": self.trouble})
            self._recorded_trouble = self.trouble
        return changed

    def _record_one(self, room: RoomInHand) -> None:
        row = room.row
        match room.step:
            case Step.MADE:
                if not row.become_available(url=room.url, expires_at=row.expires_at, tokens=room.tokens):
                    row.end("came too late")
                    row.exists_after_all()
                self.time_to_replace = self.time_to_replace.learned(time.monotonic() - room.since)
            case Step.REFUSED:
                row.end(room.problem[:100])
            case Step.RENEWED if room.tokens:
                Room.objects.available().filter(pk=row.pk).update(**room.tokens.fields())

    def replenish(self, now: float) -> None:
        """Verify the account, then make up the shortfall, retire the old, renew stored tokens."""
        if not self.verified:
            self._verify(now)
            return
        warming, available, old = self._stock.count()
        if not self.target.paused:
            self._make_up(warming, available, old)
        if self.backoff.allows(now) and (to_ask := self._in_hand.at(Step.TO_ASK)):
            self._ask(to_ask[:MAX_AT_ONCE])
        if self.signer is None:
            self._renew(now)
        self._keep_connection_alive(now)

    def _make_up(self, warming: int, available: int, old: int) -> None:
        """End the surplus, retire the old, write rows for what is missing."""
        changes = planner.room_changes(
            target=self.target.size, cap=self._config.room_cap, warming=warming, available=available, old=old
        )
        if changes.surplus:
            self._stock.end_surplus(changes.surplus)
        if changes.retire:
            self._stock.retire(changes.retire)
        if changes.make:  # counted again, in turn with other pods
            self._in_hand.rows_written(self._stock.reserve_names(self.target.size), time.monotonic())

    @property
    def are_coming(self) -> bool:
        """Rooms are to be had yet, or the account's verification: `replenish` asks when it may."""
        return not self.verified or bool(self._in_hand.at(Step.TO_ASK, Step.ASKED))

    @property
    def is_steady(self) -> bool:
        """Nothing but rooms has to be got from Daily; whether there are enough is for the rows to say."""
        return not self.target.paused and (self.signer is not None or not self.verified)

    @property
    def full(self) -> bool:
        warming, available, _ = self._stock.count()
        return warming == 0 and available >= min(self.target.size, self._config.room_cap)

    @property
    def calls_a_room(self) -> int:
        """To Daily: made, deleted, and its two tokens minted where we cannot sign them."""
        return 2 if self.signer else 4

    def leave_to_others(self) -> None:
        """Make no more; what is in stock is given out and adopted as if this pod were gone."""
        for room in self._in_hand.at(Step.TO_ASK):
            room.row.end("pod drained")
            self._in_hand.forget(room)
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

    def _ask(self, rooms: list[RoomInHand]) -> None:
        """One batch for many, else a call for each, as far as the budget goes, and the threads that are free: one is
        left to the fleet's chores."""
        if self._calls.free <= 1:
            return
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
        rooms: list[RoomInHand],
        make: Callable[[list[NewRoom]], list[tuple[DailyRoom, StoredTokens | None]]],
    ) -> None:
        for room in rooms:
            self._in_hand.asked(room)
        new = [self._new_room(room.row) for room in rooms]

        def done(result: list[tuple[DailyRoom, StoredTokens | None]] | None, error: DailyError | None) -> None:
            left = {room.row.name: room for room in rooms}
            for made, tokens in result or []:
                if room := left.pop(made.name, None):
                    self._in_hand.made(room, made.url, tokens)
            for room in left.values():
                if isinstance(error, DailyRejected):
                    self._in_hand.refused(room, str(error))
                else:
                    self._in_hand.to_ask_again(room)

        self._submit(lambda: make(new), done)

    def _new_room(self, row: Room) -> NewRoom:
        dialout = self._config.room_dialout
        return NewRoom(row.name, row.expires_at, self._config.room_geo, recorded=row.recorded, dialout=dialout)

    def _renew(self, now: float) -> None:
        """Stored tokens must outlast a session at the hand-out; rooms without any get theirs."""
        if not self.backoff.allows(now):
            return
        fresh = Room.objects.with_fresh_tokens(self._stock.life_needed)
        stale = Room.objects.available().filter(pod=self._pod).exclude(pk__in=fresh.values("pk"))
        in_hand = [room.row.pk for room in self._in_hand.at(Step.RENEWING, Step.RENEWED)]
        for row in stale.exclude(pk__in=in_hand)[:MAX_AT_ONCE]:
            if self._calls.free <= 1 or not budget.take(budget.Group.GENERAL, budget.Priority.REPLENISH, 2):
                return
            self._submit(self._mint_job(row), self._renewal_done(self._in_hand.renewing(row)))

    def _mint_job(self, room: Room) -> Callable[[], StoredTokens]:
        life = timedelta(seconds=self._config.room_life)
        return lambda: mint_pair(self._client, room.name, life, recorded=room.recorded)

    def _renewal_done(self, room: RoomInHand) -> Callable[[StoredTokens | None, DailyError | None], None]:
        def done(tokens: StoredTokens | None, error: DailyError | None) -> None:
            if tokens:
                self._in_hand.renewed(room, tokens)
            else:
                self._in_hand.forget(room)

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
