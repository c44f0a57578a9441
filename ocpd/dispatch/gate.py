"""How much a caller may use: the limits of keys, and of everybody without one, before the queue.

What may live here: who is judged by which limits, where past usage comes from, and which turn holds
which reservation. The judgement itself is ``sched.quota``'s, its words are ``notice``'s.
"""

import asyncio
from collections.abc import Callable

import msgspec

from ocpd.aio import wall_clock
from ocpd.dispatch.bookkeeping import does_count, spent_of
from ocpd.dispatch.guard import PlanGuard
from ocpd.dispatch.job import Job
from ocpd.dispatch.notice import Headers, refuse, tell_plan, tell_standing
from ocpd.errors import Refused
from ocpd.sched.quota import AccountId, Denial, Limit, Meter, Reservation
from ocpd.sched.windows import DAY_S, Entry
from ocpd.store.plan import PlanBook
from ocpd.store.quotas import Quotas
from ocpd.store.usage import UsageBook
from ocpd.turn.caller import Caller, Kind, block_of
from ocpd.turn.outcome import Outcome, TurnState
from ocpd.turn.request import TurnId

MOST_ADDRESSES = 4_096
"""Anonymous addresses that are told apart on one day; those that come later are one."""

_REQUESTS = ("requests",)
_TOKENS = ("tokens", "input_tokens", "output_tokens")


class AnonymousQuota(msgspec.Struct, frozen=True):
    """Requests a day (UTC) of callers with the anonymous key; ``each``: of every address."""

    per_day: int
    each: bool = False


class Subject(msgspec.Struct, frozen=True):
    """Who is judged: the account, its limits, its name for people, and whose usage rows are its
    past (None: there are none)."""

    account: AccountId
    limits: tuple[Limit, ...]
    name: str
    scope: str | int | None


class Gate:
    """Admits turns under quotas. ``settle`` must hear of every outcome whose job entered, in the
    same step in which its row is recorded. ``anonymous`` may change at any time. ``guard`` judges
    by the plan, whatever the quotas are."""

    def __init__(
        self,
        quotas: Quotas,
        usage: UsageBook,
        plan: PlanBook,
        anonymous: AnonymousQuota | None = None,
        *,
        clock: Callable[[], float] = wall_clock,
    ) -> None:
        self._quotas = quotas
        self._usage = usage
        self._plan = plan
        self._clock = clock
        self._meter = Meter()
        self._epoch = usage.epoch
        self._loading = asyncio.Lock()
        self._open: dict[TurnId, tuple[int | None, Reservation]] = {}
        self._addresses: set[AccountId] = set()
        self._day = 0
        self.anonymous = anonymous
        self.guard = PlanGuard(plan, clock=clock)

    def __repr__(self) -> str:
        return f"Gate({self._meter})"

    async def enter(self, job: Job) -> None:
        """Set aside what the turn may use, or refuse it. ``settle`` ends what was set aside.

        Raises Refused ``model_not_allowed``, QuotaExceeded (429), and what the plan guard raises.
        Raises Overloaded ``store_unavailable`` (503) if a limited key's usage cannot be read.
        Cancelled: nothing is set aside.
        """
        check_model(job.caller, job.turn.model)
        self.guard.check(job.caller)
        reservation = await self._reserve(job)
        if reservation is not None:
            self._open[job.turn.id] = (job.caller.key_id, reservation)

    async def check(self, job: Job) -> None:
        """Raise what ``enter`` would raise now of models and quotas, and set nothing aside: for an
        answer that is there already, and costs nothing of the plan."""
        check_model(job.caller, job.turn.model)
        reservation = await self._reserve(job)
        if reservation is not None:
            self._meter.release(reservation)

    async def _reserve(self, job: Job) -> Reservation | None:
        caller = job.caller
        subject = self._find_subject(caller)
        if subject is None:
            return None
        while not self._is_known(subject):
            await self._load(subject)
            # Limits may have changed meanwhile.
            subject = self._find_subject(caller) or subject
        estimate = self._meter.estimate(job.prompt_chars, job.turn.limits.max_tokens)
        now = self._clock()
        answer = self._meter.reserve(subject.account, subject.limits, estimate, now)
        if isinstance(answer, Denial):
            raise refuse(answer, subject.name, self._standing(subject, now), now)
        return answer

    def settle(self, outcome: Outcome) -> None:
        """End what was set aside for a turn that is over; nothing if it never entered."""
        if outcome.state is TurnState.FINISHED:
            self._meter.learn(spent_of(outcome))
        if outcome.turn_id not in self._open:
            return
        _, reservation = self._open.pop(outcome.turn_id)
        if does_count(outcome):
            self._meter.settle(reservation, spent_of(outcome), self._clock())
        else:
            self._meter.release(reservation)

    def price(self, outcome: Outcome) -> float:
        """Return what the tokens of a turn cost, in US dollars, by what they have cost on average;
        0 before the first answer has said so."""
        usage = outcome.usage
        return self._meter.price(usage.prompt_tokens + usage.output_tokens)

    def headers(self, caller: Caller) -> Headers:
        """Return how the caller's quota stands now, else the plan: ``x-ratelimit-*``, and
        a warning if the plan is nearly used up."""
        now = self._clock()
        subject = self._find_subject(caller)
        told = () if subject is None else self._standing(subject, now)
        told = told or tell_plan(self._plan.latest().values(), now)
        return (*told, *self.guard.headers(caller))

    def count_running(self, key_id: int) -> int:
        """Return how many turns of a key wait or run now."""
        return sum(holder == key_id for holder, _ in self._open.values())

    def _find_subject(self, caller: Caller) -> Subject | None:
        if caller.key_id is not None:
            limits = self._quotas.of(caller.key_id)
            name = f"the key {caller.name!r}"
            return Subject(AccountId(caller.scope), limits, name, caller.key_id)
        if caller.kind is not Kind.ANONYMOUS or self.anonymous is None:
            return None
        limits = (Limit("requests", "daily", self.anonymous.per_day),)
        if self.anonymous.each:
            account = self._find_address(caller)
            return Subject(account, limits, "this address (anonymousQuota)", None)
        name = "the anonymous key (anonymousQuota)"
        return Subject(AccountId("anonymous"), limits, name, caller.name)

    def _find_address(self, caller: Caller) -> AccountId:
        """Addresses of a day are forgotten on the next one, so that no crowd fills the memory."""
        day = int(self._clock() // DAY_S)
        if day != self._day:
            self._day = day
            for old in self._addresses:
                self._meter.forget(old)
            self._addresses.clear()
        account = AccountId(f"anonymous {block_of(caller.address or caller.place)}")
        if account not in self._addresses and len(self._addresses) >= MOST_ADDRESSES:
            account = AccountId("anonymous others")
        self._addresses.add(account)
        return account

    def _is_known(self, subject: Subject) -> bool:
        if self._epoch != self._usage.epoch:
            # Restored or imported: what was known of the past is no longer true.
            self._epoch = self._usage.epoch
            self._meter.forget_all()
        return not self._meter.missing(subject.account, subject.limits)

    async def _load(self, subject: Subject) -> None:
        async with self._loading:
            if self._is_known(subject):
                return
            account, epoch = subject.account, self._epoch
            missing = self._meter.missing(account, subject.limits)
            # From here on every end counts; the store tells what was before, to the row.
            self._meter.expect(account, missing)
            history: dict[str, tuple[Entry, ...]] = dict.fromkeys(missing, ())
            try:
                if subject.scope is not None:
                    history = await self._usage.history(subject.scope, missing)
            except BaseException:
                self._meter.forget(account, missing)
                raise
            if epoch == self._usage.epoch:
                self._meter.recall(account, history)

    def _standing(self, subject: Subject, now: float) -> Headers:
        stand, account, limits = self._meter.stand, subject.account, subject.limits
        return (
            *tell_standing("requests", stand(account, limits, _REQUESTS, now), now),
            *tell_standing("tokens", stand(account, limits, _TOKENS, now), now),
        )


def check_model(caller: Caller, model: str) -> None:
    """Refuse a model that the caller's key does not have. Raises Refused (403)."""
    if caller.models is not None and model not in caller.models:
        raise Refused(
            f"the key {caller.name!r} may not use the model {model!r}; it may use"
            f" {', '.join(caller.models)}",
            code="model_not_allowed",
            param="model",
        )
