"""Nothing personal lies in the clear: all tables are searched for what was planted."""

from __future__ import annotations

import base64

import psycopg
from litestar import Litestar
from litestar.testing import AsyncTestClient
from psycopg import sql

from outbox.domain.callbacks import Callback
from outbox.domain.ids import new_id
from outbox.domain.inbound import Inbound
from outbox.sealing import Sealer
from outbox.settings import Settings
from outbox.store import inbox
from outbox.store.inbox import sealed, sealed_text
from tests.integration.conftest import event
from tests.integration.stored import gateway

_PLANTED = {
    "the Member's name": "Zebedee Quillfeather",
    "the Member's number": "+12025550171",
    "a Contact's name": "Ottoline Brackwater",
    "a Contact's number": "+12025550172",
    "a stored recipient's name": "Peregrine Ashdown",
    "a stored recipient's number": "+12025550173",
    "an inviter's name": "Cordelia Nightjar",
    "an invitee's number": "+12025550174",
    "an invite code": "QX7-PLANTED",
    "a device's token": "fcm-token-planted-0123456789",
    "a text from somebody": "please stop, planted words",
    "who wants a code": "+12025550177",
    "who sent it": "+12025550175",
    "a callback's recipient": "+12025550176",
}
_ALICE = {
    "id": "m_planted",
    "name": _PLANTED["the Member's name"],
    "phone": _PLANTED["the Member's number"],
}
_BOB = {
    "id": "c_planted",
    "name": _PLANTED["a Contact's name"],
    "phone": _PLANTED["a Contact's number"],
}


def _forms(value: str) -> list[bytes]:
    """A value as it may lie somewhere: as it is, in hexadecimal, in base64 at each alignment."""
    plain = value.removeprefix("+").encode()
    found = [plain, plain.hex().encode(), plain.hex().upper().encode()]
    for offset in range(3):
        whole = base64.b64encode(bytes(offset) + plain)
        # What the neighbours decide is left out.
        found.append(whole[-(-offset * 8 // 6) + 1 : -5])
    return found


def _everything(database_url: str) -> dict[str, bytes]:
    """Each column of each table as bytes; of bytea the bytes themselves, too."""
    with psycopg.connect(database_url) as connection:
        columns = connection.execute(
            "SELECT c.table_name, c.column_name, c.data_type FROM information_schema.columns c"
            " JOIN information_schema.tables t USING (table_schema, table_name)"
            " WHERE table_schema = 'public' AND table_type = 'BASE TABLE'",
        ).fetchall()
        found = {}
        for table, column, kind in columns:
            query = sql.SQL("SELECT {}::text FROM {}").format(
                sql.Identifier(column), sql.Identifier(table)
            )
            values = [row[0] for row in connection.execute(query) if row[0] is not None]
            raw = b"\0".join(value.encode() for value in values)
            if kind == "bytea":
                raw += b"\0".join(bytes.fromhex(value[2:]) for value in values)
            found[f"{table}.{column}"] = raw
        return found


async def _fill(api: AsyncTestClient[Litestar], settings: Settings, database_url: str) -> None:
    answers = [
        await api.put(
            "/v1/recipients/c_stored",
            json={
                "name": _PLANTED["a stored recipient's name"],
                "phone": _PLANTED["a stored recipient's number"],
            },
        ),
        await api.put(
            "/v1/recipients/c_stored/devices/d_1",
            json={
                "token": _PLANTED["a device's token"],
                "address_kind": "token",
                "platform": "ios",
            },
        ),
    ]
    contacts = [_BOB, {"id": "c_stored"}]
    due = {"member": _ALICE, "contacts": contacts, "due_at": "2026-11-23T08:30:00Z"}
    made = {"member": _ALICE, "contacts": contacts, "at": "2026-11-23T09:00:00Z"}
    invite = {
        "inviter": {"id": "m_planted", "name": _PLANTED["an inviter's name"]},
        "invitee": {"phone": _PLANTED["an invitee's number"]},
        "code": _PLANTED["an invite code"],
    }
    told = [
        event("checkin.missed", due, subject="m_planted"),
        event("checkin.confirmed", made, subject="m_planted"),
        event("member.invited", invite, subject="m_planted"),
    ]
    answers += [await api.post("/v1/events", json=each) for each in told]
    code = {"phone": _PLANTED["who wants a code"]}
    answers.append(await api.post("/v1/verifications", json=code))
    assert [answer.status_code for answer in answers] == [201, 204, 202, 202, 202, 202]
    sealer = Sealer(settings.keys, settings.lookup_keys)
    said = Callback(
        source="twilio",
        status="delivered",
        provider_id="SM1",
        notification=new_id(1),
        raw={"To": _PLANTED["a callback's recipient"]},
    )
    text = Inbound(
        phone=_PLANTED["who sent it"],
        to="+12025550100",
        body=_PLANTED["a text from somebody"],
        provider_id="SM2",
    )
    async with gateway(database_url) as connection, connection.transaction():
        await inbox.store(connection, [sealed(sealer, said, lane=2), sealed_text(sealer, text)])


async def test_nothing_planted_lies_in_any_table_in_the_clear(
    api: AsyncTestClient[Litestar], settings: Settings, database_url: str
) -> None:
    await _fill(api, settings, database_url)
    stored = _everything(database_url)
    # The search sees what lies there: ids are in the clear, and sealed columns hold something.
    assert b"m_planted" in stored["event.subject"]
    filled = ("notification.content", "event.data", "recipient.phone", "device.token", "inbox.body")
    assert all(len(stored[name]) > 40 for name in filled)
    found = [
        (what, name)
        for what, value in _PLANTED.items()
        for form in _forms(value)
        for name, raw in stored.items()
        if form in raw
    ]
    assert found == []


def test_the_search_finds_a_value_in_each_of_its_forms() -> None:
    value = "Zebedee Quillfeather"
    lying = [
        f"name: {value}.".encode(),
        value.encode().hex().encode(),
        *(
            base64.b64encode(b"x" * n + value.encode() + b"y" * m)
            for n in range(4)
            for m in range(3)
        ),
    ]
    assert all(any(form in raw for form in _forms(value)) for raw in lying)
    assert all(len(form) >= 8 for form in _forms("+12025550171"))


async def test_equal_values_look_different_in_every_row(
    api: AsyncTestClient[Litestar], settings: Settings, database_url: str
) -> None:
    for recipient in ("c_1", "c_2"):
        await api.put(f"/v1/recipients/{recipient}", json={"name": "Bob", "phone": "+12025550123"})
    with psycopg.connect(database_url) as connection:
        names = connection.execute("SELECT name, phone FROM recipient").fetchall()
        hashes = connection.execute("SELECT DISTINCT phone_hash FROM recipient").fetchall()
    assert len({name for name, _ in names}) == len({phone for _, phone in names}) == 2
    # Only the keyed hash is the same: it is how a number is found.
    assert len(hashes) == 1
