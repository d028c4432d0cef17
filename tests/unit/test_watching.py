"""Incidents: told once, told when it is over, and nothing forgotten while nothing can be seen."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from observability.judging import Firing, Judgement
from observability.slos import Severity, definitions
from outbox.watching import Incidents, News

_BEGIN = datetime(2026, 11, 23, 3, tzinfo=UTC)


def _fires(
    name: str,
    label: str = "",
    *,
    for_s: int = 0,
    settles_s: int = 0,
    severity: Severity = "page",
    told_by_relays: bool = False,
) -> Firing:
    return Firing(
        name=name,
        label=label,
        title=f"{name} fires",
        severity=severity,
        runbook="x.md",
        detail="Callbacks: 7",
        for_s=for_s,
        settles_s=settles_s,
        told_by_relays=told_by_relays,
    )


class _Watch:
    """Looks every 15 s; everything is taken unless said otherwise."""

    def __init__(self) -> None:
        self.incidents = Incidents(definitions(), name="here")
        self.at = _BEGIN

    def look(self, *firing: Firing, taken: bool = True, blind: bool = False) -> list[News]:
        news = self.incidents.seen(Judgement(standings=(), firing=firing), self.at, blind=blind)
        if taken:
            self.incidents.told(news)
        self.at += timedelta(seconds=15)
        return news


def _told(news: list[News]) -> list[str]:
    return [each.page.reason for each in news]


def test_an_incident_is_told_once_and_once_when_it_is_over() -> None:
    watch = _Watch()
    assert _told(watch.look(_fires("InboxStuck"))) == ["firing:InboxStuck"]
    assert watch.look(_fires("InboxStuck")) == []
    assert len(watch.incidents.open) == 1
    # What flickers is one incident.
    assert watch.look() == []
    assert watch.look(_fires("InboxStuck")) == []
    assert watch.look() == []
    (over,) = watch.look()
    assert over.page.reason == "resolved:InboxStuck"
    assert "Resolved after 1 min" in over.page.summary
    assert watch.look() == []
    assert list(watch.incidents.open) == []
    # The next one is another one: its page is no repetition to the receiver.
    (again,) = watch.look(_fires("InboxStuck"))
    assert again.page.notification_id != over.page.notification_id


def test_a_page_that_nobody_took_is_told_again_under_the_same_id() -> None:
    watch = _Watch()
    (first,) = watch.look(_fires("InboxStuck"), taken=False)
    (second,) = watch.look(_fires("InboxStuck"))
    assert first.page.notification_id == second.page.notification_id
    assert watch.look(_fires("InboxStuck")) == []


def test_the_end_of_what_nobody_heard_of_is_no_news() -> None:
    watch = _Watch()
    watch.look(_fires("InboxStuck"), taken=False)
    assert watch.look() == []
    assert watch.look() == []
    assert list(watch.incidents.open) == []


def test_it_must_hold_for_its_time() -> None:
    watch = _Watch()
    held = _fires("InboxStuck", for_s=60)
    assert [_told(watch.look(held)) for _ in range(5)] == [[], [], [], [], ["firing:InboxStuck"]]
    # Gone for one look: the time begins again, as nobody was told.
    watch = _Watch()
    for _ in range(4):
        watch.look(held)
    watch.look()
    assert [_told(watch.look(held)) for _ in range(4)] == [[]] * 4


def test_a_ticket_wakes_nobody() -> None:
    watch = _Watch()
    assert watch.look(_fires("Parked", severity="ticket")) == []
    assert watch.incidents.quiet
    assert len(watch.incidents.open) == 1


def test_what_follows_from_something_else_is_not_told_until_that_is_over() -> None:
    watch = _Watch()
    both = (_fires("RelayDead"), _fires("InboxStuck"))
    assert _told(watch.look(*both)) == ["firing:RelayDead"]
    assert watch.look(*both) == []
    # What flickers is not over.
    assert watch.look(both[1]) == []
    assert _told(watch.look(both[1])) == ["resolved:RelayDead"]
    assert _told(watch.look(both[1])) == ["firing:InboxStuck"]


def test_when_it_is_over_what_followed_has_its_time_to_end() -> None:
    watch = _Watch()
    both = (_fires("RelayDead"), _fires("InboxStuck", for_s=60))
    for _ in range(10):
        watch.look(*both)
    told = [_told(watch.look(both[1])) for _ in range(6)]
    assert told == [[], ["resolved:RelayDead"], [], [], [], []]
    assert _told(watch.look(both[1])) == ["firing:InboxStuck"]


def test_figures_that_look_back_are_not_told_of_what_is_over_but_of_what_goes_on() -> None:
    watch = _Watch()
    down = _fires("ProviderDown", "twilio")
    texts = _fires("SmsDeliveryBurning", settles_s=120)
    assert _told(watch.look(down)) == ["firing:ProviderDown"]
    watch.look(down, texts)
    watch.look(texts)
    assert _told(watch.look(texts)) == ["resolved:ProviderDown"]
    # Two minutes: what it tells may all have been before.
    assert [watch.look(texts) for _ in range(7)] == [[]] * 7
    assert _told(watch.look(texts)) == ["firing:SmsDeliveryBurning"]


def test_another_cause_is_told_at_once_although_something_is_just_over() -> None:
    watch = _Watch()
    watch.look(_fires("ProviderDown", "twilio"))
    watch.look()
    assert _told(watch.look()) == ["resolved:ProviderDown"]
    for other in (_fires("PushDeliveryBurning", settles_s=120), _fires("MissedCheckinBad")):
        assert _told(watch.look(other)) == [f"firing:{other.name}"]


def test_what_the_relays_told_is_not_told_again_and_hides_what_follows() -> None:
    watch = _Watch()
    fault = _fires("ConfigurationFault", "fcm", severity="ticket", told_by_relays=True)
    pushes = _fires("PushDeliveryBurning", settles_s=60)
    for _ in range(3):
        assert watch.look(fault, pushes, _fires("CanaryDead", "push")) == []
    assert _told(watch.look(fault, pushes, _fires("CanaryDead", "sms"))) == ["firing:CanaryDead"]
    assert [watch.look(pushes, _fires("CanaryDead", "sms")) for _ in range(5)] == [[]] * 5
    assert _told(watch.look(pushes)) == ["firing:PushDeliveryBurning"]


def test_a_database_that_is_away_ends_no_incident() -> None:
    watch = _Watch()
    watch.look(_fires("ProviderDown", "twilio"))
    assert _told(watch.look(_fires("DatabaseAway"), blind=True)) == ["firing:DatabaseAway"]
    for _ in range(5):
        assert watch.look(_fires("DatabaseAway"), blind=True) == []
    watch.look()
    assert sorted(_told(watch.look())) == ["resolved:DatabaseAway", "resolved:ProviderDown"]


def test_two_of_a_kind_are_two_incidents() -> None:
    watch = _Watch()
    news = watch.look(_fires("ProviderDown", "twilio"), _fires("ProviderDown", "fcm"))
    assert len({each.page.notification_id for each in news}) == 2
    assert [each.page.summary for each in news] == [
        "ProviderDown fires (twilio). Callbacks: 7. Seen since 03:00 UTC. Do: runbooks/x.md",
        "ProviderDown fires (fcm). Callbacks: 7. Seen since 03:00 UTC. Do: runbooks/x.md",
    ]
