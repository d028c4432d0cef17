"""Incidents: what fires becomes one page for the person on call, and one when it is over.

Kept in memory: a watcher that is started anew tells again of what still fires, as being told twice
is better than not at all.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from datetime import datetime

from msgspec import Struct

from observability.judging import Firing, Judgement, hidden
from observability.slos import Definitions
from outbox.domain.acknowledging import OVER_AFTER, Acknowledgement, Endings, Key
from outbox.domain.messages import Page

_LONGEST_S = 7_200
"""Nothing settles for longer than this."""


class Incident(Struct, kw_only=True):
    """Something that fires."""

    firing: Firing
    since: datetime
    told: bool = False
    """Somebody took the page."""
    absent: int = 0
    """Looks in a row that did not see it."""
    holds_since: datetime | None = None
    """Since when nothing hides it; null: it is hidden now."""
    acknowledged: bool = False
    """Somebody knows of it, and nobody is called."""
    rounds: int = 0
    """How often an acknowledgement ran out while it went on: each time it is another page."""

    def know(self, *, acknowledged: bool) -> None:
        """Somebody knows of it, or not any more: then it is told anew."""
        if acknowledged:
            # Also where this watcher told nobody: its end is worth a word.
            self.acknowledged = self.told = True
        elif self.acknowledged:
            self.acknowledged, self.told = False, self.firing.told_by_relays
            self.rounds += 1


class News(Struct, frozen=True, kw_only=True):
    """What is to be told after a look."""

    page: Page
    key: Key
    resolved: bool


class Incidents:
    """What fires now, and what of it was told."""

    def __init__(self, definitions: Definitions, *, name: str) -> None:
        """``name`` tells watchers apart, such as by their host."""
        self._definitions = definitions
        self._name = name
        self._open: dict[Key, Incident] = {}
        self._over: dict[Key, tuple[Firing, datetime]] = {}
        """What somebody was told, and when it was over: what follows from it may still settle."""
        self._acknowledged: tuple[Acknowledgement, ...] = ()
        self._endings = Endings()

    @property
    def open(self) -> tuple[Incident, ...]:
        """Incidents that pages are about, the oldest first."""
        return tuple(sorted(self._open.values(), key=lambda each: each.since))

    @property
    def quiet(self) -> bool:
        """Whether nothing fires that would wake somebody, but what somebody acknowledged."""
        return not any(
            each.firing.severity == "page" and not each.acknowledged for each in self._open.values()
        )

    def seen(
        self,
        judgement: Judgement,
        at: datetime,
        *,
        blind: bool = False,
        acknowledged: Sequence[Acknowledgement] = (),
    ) -> list[News]:
        """Take a look at ``at``; what is to be told now, and again by each look until it is `told`.

        ``blind``: the database was away. Of what it did not see it knows nothing: that goes on, and
        so does what was ``acknowledged``, to its end.
        """
        found = {each.key: each for each in judgement.firing}
        for key, firing in found.items():
            incident = self._open.setdefault(key, Incident(firing=firing, since=at))
            incident.firing, incident.absent = firing, 0
            # Nobody need be called for it, and its end is the beginning of what it hides.
            incident.told |= firing.told_by_relays
        known = self._known({*found}, at, None if blind else acknowledged)
        for key in found:
            self._open[key].know(acknowledged=key in known)
        follows = self._follows(judgement.firing, at)
        news = []
        for key, incident in list(self._open.items()):
            if key not in found:
                if blind:
                    continue
                incident.absent += 1
                if incident.told and incident.absent >= OVER_AFTER:
                    news += self._over_now(incident, at)
                elif not incident.told:
                    del self._open[key]
                continue
            if key in follows:
                incident.holds_since = None
                continue
            incident.holds_since = incident.holds_since or at
            if not incident.told and self._is_due(incident, at):
                news.append(self._news(incident, at, resolved=False))
        return news

    def _known(
        self, firing: set[Key], at: datetime, acknowledged: Sequence[Acknowledgement] | None
    ) -> set[Key]:
        """What somebody knows of now; null: it cannot be seen, and is as it was."""
        if acknowledged is not None:
            over = self._endings.over(acknowledged, firing)
            self._acknowledged = tuple(each for each in acknowledged if each.id not in over)
        return {each.key for each in self._acknowledged if at < each.until}

    def _follows(self, firing: Iterable[Firing], at: datetime) -> set[Key]:
        """Of what fires, what follows from something else that fires, or did until lately."""
        found = list(firing)
        here = {each.key for each in found}
        absent = [each.firing for key, each in self._open.items() if key not in here and each.told]
        follows = hidden(self._definitions, found, also=absent)
        for key, (cause, over_at) in list(self._over.items()):
            passed_s = (at - over_at).total_seconds()
            if passed_s > _LONGEST_S or key in here:
                del self._over[key]
                continue
            settling = [each for each in found if passed_s < each.settles_s]
            follows |= hidden(self._definitions, settling, also=[cause])
        return follows

    def _over_now(self, incident: Incident, at: datetime) -> list[News]:
        """What somebody has to be told of its end."""
        self._over.setdefault(incident.firing.key, (incident.firing, at))
        if incident.firing.severity == "page":
            return [self._news(incident, at, resolved=True)]
        del self._open[incident.firing.key]
        return []

    def told(self, news: Iterable[News]) -> None:
        """Somebody took these pages."""
        for each in news:
            if each.resolved:
                self._open.pop(each.key, None)
            elif each.key in self._open:
                self._open[each.key].told = True

    @staticmethod
    def _is_due(incident: Incident, at: datetime) -> bool:
        held_s = (at - (incident.holds_since or at)).total_seconds()
        return incident.firing.severity == "page" and held_s >= incident.firing.for_s

    def _news(self, incident: Incident, at: datetime, *, resolved: bool) -> News:
        firing = incident.firing
        if resolved:
            minutes = max(1, round((at - incident.since).total_seconds() / 60))
            summary = f"Resolved after {minutes} min: {firing.headline}."
        else:
            seen = f"Seen since {incident.since:%H:%M} UTC"
            summary = f"{firing.headline}. {firing.detail}. {seen}. Do: runbooks/{firing.runbook}"
        word = "resolved" if resolved else "firing"
        incident_id = f"{self._name} {firing.name} {firing.label} {incident.since.isoformat()}"
        if incident.rounds:
            incident_id += f" {incident.rounds}"
        name = hashlib.blake2b(f"{incident_id} {word}".encode(), digest_size=12).hexdigest()
        page = Page(
            # The receiver recognises a repetition by it.
            notification_id=f"watch-{name}",
            event_id="-".join(filter(None, ("watch", firing.name, firing.label))),
            reason=f"{word}:{firing.name}",
            summary=summary,
            occurred_at=incident.since,
        )
        return News(page=page, key=firing.key, resolved=resolved)
