"""``pruuf watch``: judges as ``pruuf slo`` does, all the time, and calls the person on call.

Needs nothing but the database and the operator's own paths; a database that is away is a page.
Run it where gateway and relays do not run: what takes them down must not take it down too.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated

import psycopg
import typer

from gateway.cli.database import database, settings_or_exit
from gateway.cli.outcome import Exit, bad, clean, err, good
from gateway.cli.processes import in_order
from gateway.cli.signals import run
from observability import logs
from observability.judging import Judgement, Windows, hidden, judge
from observability.slos import Definitions, definitions
from outbox.domain.outcomes import Result
from outbox.providers.calls import Call
from outbox.providers.operator_paths import Operator
from outbox.providers.transport import PooledTransport, Transport, TransportFault
from outbox.providers.wiring import operator
from outbox.setting_values import Problem, SettingsError
from outbox.settings import Settings
from outbox.store import objectives
from outbox.store.connect import Role, conninfo
from outbox.watching import Incidents, News

_log = logging.getLogger(__name__)

_WITHIN_S = 20.0
_PING_WITHIN_S = 10.0


def watch(
    every_s: Annotated[
        float, typer.Option("--every-s", min=1, max=60, help="Between two looks.")
    ] = 15.0,
    once: Annotated[  # noqa: FBT002 - a flag
        bool, typer.Option("--once", help="Look once, say what fires, and end.")
    ] = False,
) -> None:
    """Watch the objectives without Prometheus: page once per incident, and when it is over."""
    found = settings_or_exit(_require_operator)
    # On a terminal it is for a person, who is told in words below.
    logs.configure(level="WARNING" if sys.stderr.isatty() else "INFO")
    with in_order(), database(found) as settings:
        if run(_watch(settings, every_s=every_s, once=once)).firing:
            raise typer.Exit(Exit.BAD_NEWS)


def _require_operator(settings: Settings) -> None:
    if settings.operator_webhook is None and settings.operator_smtp is None:
        accepted = "an address that calls a person, like https://pager.example.com/hook; or"
        problem = Problem("PRUUF_OPERATOR_WEBHOOK", "nothing", f"{accepted} PRUUF_OPERATOR_SMTP")
        raise SettingsError([problem])


async def _watch(settings: Settings, *, every_s: float, once: bool) -> Judgement:
    async with PooledTransport() as pages, PooledTransport() as pings:
        watcher = Watcher(
            settings,
            pager=operator(settings, pages),
            pings=pings,
            say=lambda text, over: good(text) if over else bad(text),
        )
        if not once:
            err.print(clean(f"watching every {every_s:g} s; Ctrl-C ends it"))
            if settings.deadman_url is None:
                err.print("PRUUF_DEADMAN_URL is not set: nobody would notice the end of this watch")
        while True:
            await watcher.look()
            if once:
                _print(watcher.judged)
                return watcher.judged
            await asyncio.sleep(every_s)


def _print(judged: Judgement) -> None:
    if not judged.firing:
        good("nothing fires")
    follows = hidden(definitions(), judged.firing)
    for each in judged.firing:
        if each.key in follows:
            err.print(clean(f"  follows from the others: {each.headline}. {each.detail}"))
            continue
        bad(f"{each.headline}. {each.detail} ({each.severity}) → runbooks/{each.runbook}")


class Watcher:
    """Looks, tells and pings; survives whatever is away."""

    def __init__(
        self,
        settings: Settings,
        *,
        pager: Operator,
        pings: Transport,
        say: Callable[[str, bool], None],
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], datetime] = lambda: datetime.now(UTC),
        within_s: float = _WITHIN_S,
    ) -> None:
        """``say`` is told, in words, of each beginning and end; true: it is over.

        ``clock`` goes only forwards, ``wall`` is the one on the wall.
        """
        self._url = settings.require_database()
        self._deadman = settings.deadman_url
        self._pager = pager
        self._pings = pings
        self._say = say
        self._clock = clock
        self._wall = wall
        self._within_s = within_s
        self._answered_at = clock()
        self._counted: deque[tuple[float, Mapping[str, datetime]]] = deque()
        """When we looked, and how far each objective was counted then; the oldest first."""
        self._reading: asyncio.Future[objectives.Seen] | None = None
        self._definitions: Definitions = definitions()
        self.incidents = Incidents(self._definitions, name=socket.gethostname())
        self.judged = Judgement(standings=(), firing=())

    async def look(self) -> None:
        """One look, with what follows from it."""
        seen = await self._read()
        away_s = 0.0 if seen is not None else self._clock() - self._answered_at
        readings = [("database_away_s", "", away_s)]
        counted: Mapping[str, Windows] = {}
        if seen is not None:
            self._answered_at = self._clock()
            self._remember(seen.until)
            readings += [(each.measure, each.label, each.value) for each in seen.readings]
            counted = seen.counted
        self.judged = judge(self._definitions, counted, readings)
        news = self.incidents.seen(
            self.judged,
            self._wall(),
            blind=seen is None,
            acknowledged=() if seen is None else seen.acknowledged,
        )
        told = [each for each in await asyncio.gather(*(self._tell(n) for n in news)) if each]
        self.incidents.told(told)
        # Not while a page found nobody: then its silence has to tell.
        if seen is not None and self.incidents.quiet and len(told) == len(news):
            await self._ping()

    async def _read(self) -> objectives.Seen | None:
        """What the database tells; null when it does not, within the time that it has."""
        if self._reading is None:
            self._reading = asyncio.get_running_loop().create_future()
            # Not in the loop's own threads: the end of the process would wait for a frozen server.
            threading.Thread(
                target=self._ask,
                args=(asyncio.get_running_loop(), self._reading, self._before()),
                name="watch",
                daemon=True,
            ).start()
        try:
            seen = await asyncio.wait_for(asyncio.shield(self._reading), self._within_s)
        except TimeoutError:
            # One that hangs is waited for on: there is never more than one.
            return None
        except (psycopg.Error, OSError) as error:
            self._reading = None
            _log.warning("the database does not answer (%s)", type(error).__name__)
            return None
        self._reading = None
        return seen

    def _remember(self, until: Mapping[str, datetime]) -> None:
        now = self._clock()
        self._counted.append((now, until))
        longest = max((each.any_bad_within_s or 0) for each in self._definitions.slo.values())
        while len(self._counted) > 1 and self._counted[1][0] <= now - longest:
            self._counted.popleft()

    def _before(self) -> Mapping[str, datetime]:
        """How far each objective was counted when its window for a single bad one began."""
        now, found = self._clock(), {}
        for key, slo in self._definitions.slo.items():
            if slo.any_bad_within_s is None:
                continue
            known = [(at, until[key]) for at, until in self._counted if key in until]
            early = [until for at, until in known if at <= now - slo.any_bad_within_s]
            if known:
                found[key] = early[-1] if early else known[0][1]
        return found

    def _ask(
        self,
        loop: asyncio.AbstractEventLoop,
        answer: asyncio.Future[objectives.Seen],
        before: Mapping[str, datetime],
    ) -> None:
        found: objectives.Seen | BaseException
        try:
            target = conninfo(self._url, Role.DASHBOARD, application="pruuf watch")
            with psycopg.connect(target, autocommit=True) as connection:
                found = objectives.look(connection, self._definitions, before=before)
        except Exception as error:  # noqa: BLE001 - told to whoever waits
            found = error
        with suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(_end, answer, found)

    async def _tell(self, news: News) -> News | None:
        self._say(news.page.summary, news.resolved)
        outcome = await self._pager.send(news.page)
        return news if outcome.result is Result.ACCEPTED else None

    async def _ping(self) -> None:
        if self._deadman is None:
            return
        call = Call("deadman", "deadman.ping")
        # Whoever waits for it tells somebody when it does not come.
        try:
            answer = await self._pings.request(
                "GET", self._deadman, headers={}, body=b"", timeout_s=_PING_WITHIN_S
            )
        except TransportFault as fault:
            call.unanswered(fault, lost=Result.RETRYABLE)
            return
        refused = answer.status >= HTTPStatus.BAD_REQUEST
        call.ended(
            Result.CONFIGURATION_FAULT if refused else Result.ACCEPTED,
            code=str(answer.status) if refused else None,
        )


def _end(answer: asyncio.Future[objectives.Seen], found: objectives.Seen | BaseException) -> None:
    if answer.done():
        return
    if isinstance(found, BaseException):
        answer.set_exception(found)
    else:
        answer.set_result(found)
