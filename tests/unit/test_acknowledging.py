"""What somebody knows of is not told again, until its time is over or it fires anew."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from observability.judging import Firing, Judgement
from observability.slos import definitions
from outbox.domain.acknowledging import Acknowledgement, Endings
from outbox.domain.ids import new_id
from outbox.watching import Incidents

_BEGIN = datetime(2026, 11, 23, 3, tzinfo=UTC)
_FIRES = Firing(
    name="ProviderDown",
    label="twilio",
    title="It fires",
    severity="page",
    runbook="x.md",
    detail="Senders: 2",
)


def _known(until: datetime, label: str = "twilio") -> Acknowledgement:
    return Acknowledgement(
        id=new_id(0),
        alert="ProviderDown",
        label=label,
        actor="Ann",
        reason="why",
        at=_BEGIN,
        until=until,
    )


class _Watch:
    """Looks every 15 s; every page is taken."""

    def __init__(self) -> None:
        self.incidents = Incidents(definitions(), name="here")
        self.at = _BEGIN
        self.names: list[str] = []

    def look(self, *known: Acknowledgement, fires: bool = True, blind: bool = False) -> list[str]:
        firing = (_FIRES,) if fires else ()
        judgement = Judgement(standings=(), firing=firing)
        news = self.incidents.seen(judgement, self.at, blind=blind, acknowledged=known)
        self.incidents.told(news)
        self.names += [each.page.notification_id for each in news]
        self.at += timedelta(seconds=15)
        return [each.page.reason.partition(":")[0] for each in news]


def _quiet(watch: _Watch) -> bool:
    return watch.incidents.quiet


def test_another_watcher_does_not_call_for_what_somebody_knows() -> None:
    watch = _Watch()
    known = _known(_BEGIN + timedelta(hours=1))
    assert watch.look(known) == []
    assert watch.incidents.quiet
    assert watch.look(known) == []
    # Its end is worth a word to whoever knows.
    assert watch.look(known, fires=False) == []
    assert watch.look(known, fires=False) == ["resolved"]


def test_when_its_time_is_over_it_is_told_as_another_page() -> None:
    watch = _Watch()
    assert watch.look() == ["firing"]
    assert _quiet(watch) is False
    known = _known(watch.at + timedelta(seconds=20))
    assert watch.look(known) == []
    assert _quiet(watch) is True
    assert watch.look(known) == []
    assert watch.look(known) == ["firing"]
    assert watch.look() == []
    # Its receiver takes it for no repetition.
    assert len(set(watch.names)) == 2


def test_what_was_taken_back_is_told_again() -> None:
    watch = _Watch()
    assert watch.look(_known(_BEGIN + timedelta(hours=1))) == []
    assert watch.look() == ["firing"]


def test_what_fires_anew_is_told_although_its_time_is_not_over() -> None:
    watch = _Watch()
    known = _known(_BEGIN + timedelta(hours=1))
    watch.look(known)
    watch.look(known, fires=False)
    watch.look(known, fires=False)
    assert watch.look(known) == ["firing"]
    # Nor does one calm it that was over before this watcher began.
    other = _Watch()
    other.look(known, fires=False)
    other.look(known, fires=False)
    assert other.look(known) == ["firing"]
    # What flickers is one incident.
    third = _Watch()
    third.look(known)
    third.look(known, fires=False)
    assert third.look(known) == []


def test_one_of_another_label_calms_nothing() -> None:
    assert _Watch().look(_known(_BEGIN + timedelta(hours=1), "fcm")) == ["firing"]


def test_while_the_database_is_away_what_was_known_is_known_to_its_end() -> None:
    watch = _Watch()
    known = _known(_BEGIN + timedelta(seconds=40))
    assert watch.look(known) == []
    assert watch.look(fires=False, blind=True) == []
    assert watch.look(fires=False, blind=True) == []
    assert watch.incidents.quiet
    assert watch.look() == ["firing"]


def test_what_is_over_stays_so() -> None:
    endings, known = Endings(), _known(_BEGIN)
    assert endings.over([known], {known.key}) == set()
    assert endings.over([known], set()) == set()
    assert endings.over([known], {known.key}) == set()
    assert endings.over([known], set()) == set()
    assert endings.over([known], set()) == {known.id}
    assert endings.over([known], {known.key}) == {known.id}
