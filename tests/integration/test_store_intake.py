"""Intake: each event is stored once and whole, and a repetition hears what the first one heard."""

from __future__ import annotations

import asyncio
import json
from uuid import UUID

import pytest

from outbox.domain.content import Content, decode
from outbox.store import intake
from outbox.store.intake import Accepted, ConflictError, Request
from tests.integration.stored import (
    CLEARS,
    SEALER,
    again,
    committing,
    confirmed,
    counts,
    event,
    gateway,
    hour,
    missed,
    note,
    rows,
    write,
)


def _alert(database_url: str, member: str = "m_1") -> tuple[object, ...]:
    [alert] = rows(
        database_url,
        "SELECT last_checkin_at, open_event, open_due_at, told, notifications, page FROM alert"
        " WHERE member = %s",
        member,
    )
    return alert


def _states(database_url: str) -> list[tuple[str, str, str | None, bool]]:
    return rows(
        database_url,
        "SELECT n.recipient, n.state, n.reason, d.seq IS NOT NULL FROM notification n"
        " LEFT JOIN due d ON d.shard = n.shard AND d.notification = n.id ORDER BY 1, 2",
    )


async def test_an_event_is_stored_whole(database_url: str) -> None:
    told = missed("c_1", "c_2", due=8, traceparent="00-trace")
    async with gateway(database_url) as connection:
        [[accepted]] = await write(connection, [told])
    assert (accepted.event, accepted.duplicate) == (told.id, False)
    assert [each["recipient"] for each in json.loads(accepted.answer)] == ["c_1", "c_2"]
    assert rows(
        database_url,
        "SELECT shard, id, source, source_id, type, subject, occurred_at, traceparent, data"
        " FROM event WHERE accepted_at BETWEEN now() - interval '1 minute' AND now()",
    ) == [
        (
            told.shard,
            told.id,
            "backend",
            told.source_id,
            "checkin.missed",
            "m_1",
            hour(9),
            "00-trace",
            told.data,
        )
    ]
    assert _states(database_url) == [("c_1", "open", None, True), ("c_2", "open", None, True)]
    assert _alert(database_url) == (
        None,
        told.id,
        hour(8),
        ["c_1", "c_2"],
        [n.id for n in told.notifications],
        None,
    )


async def test_a_notification_is_due_at_once_in_its_lane_and_at_its_first_step(
    database_url: str,
) -> None:
    without_number = note(
        "checkin.missed", "c_2", "m_1", Content(member_name="A", member_phone="+1", at=hour(8))
    )
    told = missed("c_1")
    told = missed(notifications=(*told.notifications, without_number))
    async with gateway(database_url) as connection:
        await write(connection, [told], [event("member.invited")])
    due = rows(
        database_url,
        "SELECT shard, notification, step, lane, work, attempt, fence, owner,"
        " due_at BETWEEN now() - interval '1 minute' AND now() FROM due ORDER BY step",
    )
    assert due == [
        (told.shard, n.id, step, 0, 0, 0, 0, None, True)
        for step, n in enumerate(told.notifications)
    ]
    assert without_number.first_step == 1


async def test_a_content_is_readable_for_its_own_row_alone(database_url: str) -> None:
    told = missed("c_1")
    async with gateway(database_url) as connection:
        await write(connection, [told])
    [(row, content, hashed)] = rows(
        database_url, "SELECT id, content, phone_hash FROM notification"
    )
    plain = SEALER.unseal(content, table="notification", row=str(row), field="content")
    phone = decode(plain).phone
    assert phone == "+12025550123"
    assert hashed == SEALER.lookup(phone)


async def test_a_repetition_hears_the_same_and_stores_nothing(database_url: str) -> None:
    told = missed("c_1", "c_2")
    async with gateway(database_url) as connection:
        [[first]] = await write(connection, [told])
        before = counts(database_url), _alert(database_url)
        for replays in (1, 2, 3):
            [[repeated]] = await write(connection, [again(told)])
            assert repeated == Accepted(first.event, duplicate=True, answer=first.answer)
            assert rows(database_url, "SELECT replays FROM event_key") == [(replays,)]
    assert (counts(database_url), _alert(database_url)) == before


async def test_a_repetition_writes_so_that_its_answer_waits_for_a_commit(
    database_url: str,
) -> None:
    told = missed("c_1")
    async with gateway(database_url) as connection:
        await write(connection, [told])
        async with connection.transaction():
            await intake.write(connection, [Request((again(told),))], clear=CLEARS.draft)
            cursor = await connection.execute("SELECT pg_current_xact_id_if_assigned() IS NULL")
            assert await cursor.fetchone() == (False,)


async def test_a_commit_that_is_run_again_stores_nothing_twice_and_is_no_repetition(
    database_url: str,
) -> None:
    # What happens when the answer of a COMMIT was lost: the very same ids once more.
    batch = [missed("c_1"), missed("c_1", "c_2", due=9), confirmed("c_1", at=1)]
    async with gateway(database_url) as connection:
        first = await write(connection, batch)
        before = counts(database_url), _alert(database_url)
        second = await write(connection, batch)
    assert second == first
    assert not any(accepted.duplicate for accepted in second[0])
    assert (counts(database_url), _alert(database_url)) == before


async def test_the_same_key_twice_in_one_request_is_one_event(database_url: str) -> None:
    told = missed("c_1")
    async with gateway(database_url) as connection:
        [[one, two], [three]] = await write(connection, [told, again(told)], [again(told)])
    assert [one.duplicate, two.duplicate, three.duplicate] == [False, True, True]
    assert {each.event for each in (one, two, three)} == {told.id}
    assert one.answer == two.answer == three.answer
    assert counts(database_url) == {"event_key": 1, "event": 1, "notification": 1, "due": 1}


async def test_answers_come_in_the_order_of_requests_and_events(database_url: str) -> None:
    events = [confirmed(f"c_{n}", member=f"m_{n}") for n in range(20)]
    async with gateway(database_url) as connection:
        answers = await write(connection, events[:7], [], events[7:])
    assert [[each.event for each in answer] for answer in answers] == [
        [each.id for each in part] for part in (events[:7], [], events[7:])
    ]


@pytest.mark.parametrize("stored_before", [True, False])
async def test_other_content_under_a_known_key_is_a_conflict_and_nothing_is_stored(
    database_url: str, stored_before: bool
) -> None:
    told = missed("c_1", source_id="e_same")
    other = missed("c_1", "c_9", source_id="e_same")
    fine = confirmed("c_1", member="m_2")
    async with gateway(database_url) as connection:
        if stored_before:
            await write(connection, [told])
        before = counts(database_url)
        with pytest.raises(ConflictError) as caught:
            await write(connection, [fine] if stored_before else [fine, told], [fine, other])
    assert caught.value.index == 1
    assert "e_same" not in str(caught.value)
    assert counts(database_url) == before


async def test_a_conflict_fails_its_own_request_alone(database_url: str) -> None:
    told = missed("c_1", source_id="e_same")
    requests = [
        (confirmed("c_1", member="m_2"),),
        (told,),
        (confirmed("c_1", member="m_3"), missed("c_2", source_id="e_same")),
        (again(told),),
        (confirmed("c_1", member="m_4"),),
    ]
    async with committing(database_url, workers=1) as commits:
        submits = [commits.submit(Request(events)) for events in requests]
        ends = await asyncio.gather(*submits, return_exceptions=True)
    assert [type(end) for end in ends] == [list, list, ConflictError, list, list]
    assert counts(database_url)["event"] == 3
    assert rows(database_url, "SELECT count(*) FROM alert WHERE member = 'm_3'") == [(0,)]


async def test_keys_of_alerts_are_kept_for_ever_and_others_for_thirty_days(
    database_url: str,
) -> None:
    async with gateway(database_url) as connection:
        await write(connection, [missed("c_1"), confirmed("c_1", member="m_2")])
    assert rows(
        database_url,
        "SELECT expires_at IS NULL, expires_at - created_at = interval '30 days' FROM event_key"
        " ORDER BY expires_at NULLS FIRST",
    ) == [(True, None), (False, True)]


async def test_a_missed_check_in_older_than_the_last_one_is_stored_cancelled(
    database_url: str,
) -> None:
    async with gateway(database_url) as connection:
        await write(connection, [confirmed(at=9)])
        [[late]] = await write(connection, [missed("c_1", "c_2", due=9)])
        assert len(json.loads(late.answer)) == 2
    assert _states(database_url) == [
        ("c_1", "cancelled", "superseded", False),
        ("c_2", "cancelled", "superseded", False),
    ]
    assert _alert(database_url) == (hour(9), None, None, [], [], None)


async def test_a_second_missed_one_tells_only_who_was_not_told_and_a_repetition_agrees(
    database_url: str,
) -> None:
    second = missed("c_1", "c_2", due=9)
    async with gateway(database_url) as connection:
        await write(connection, [missed("c_1", due=8)])
        [[accepted]] = await write(connection, [second])
        [[repeated]] = await write(connection, [again(second)])
    assert [each["recipient"] for each in json.loads(accepted.answer)] == ["c_2"]
    assert repeated.answer == accepted.answer
    assert [state[0] for state in _states(database_url)] == ["c_1", "c_2"]


async def test_with_nobody_to_tell_the_operator_is_paged_once(database_url: str) -> None:
    first = missed(due=8)
    async with gateway(database_url) as connection:
        [[accepted], [second]] = await write(connection, [first], [missed(due=9)])
        [[repeated]] = await write(connection, [again(first)])
    [page] = json.loads(accepted.answer)
    assert (page["recipient"], page["kind"], page["lane"]) == (
        "operator",
        "operator.page",
        "safety",
    )
    assert (second.answer, repeated.answer) == ("[]", accepted.answer)
    assert _alert(database_url)[-1] == UUID(page["id"])
    assert _states(database_url) == [("operator", "open", None, True)]


async def test_a_check_in_withdraws_what_was_not_begun(database_url: str) -> None:
    async with gateway(database_url) as connection:
        await write(connection, [missed("c_1", "c_2", due=8)])
        await write(connection, [confirmed("c_1", at=9)])
    assert _states(database_url) == [
        ("c_1", "cancelled", "checked_in", False),
        ("c_1", "open", None, True),
        ("c_2", "cancelled", "checked_in", False),
    ]
    assert _alert(database_url) == (hour(9), None, None, [], [], None)


async def test_a_missed_and_a_made_check_in_of_one_batch_never_begin_an_alert(
    database_url: str,
) -> None:
    async with gateway(database_url) as connection:
        await write(connection, [missed("c_1", due=8)], [confirmed("c_1", at=9)])
    assert _states(database_url) == [
        ("c_1", "cancelled", "checked_in", False),
        ("c_1", "open", None, True),
    ]
