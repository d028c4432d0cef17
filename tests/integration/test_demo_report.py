"""A run that did not go as it must is told so, in words."""

from __future__ import annotations

import io
from pathlib import Path

import psycopg
from rich.console import Console

from gateway.demo.report import collect, show
from gateway.demo.stack import Addresses
from gateway.demo.story import NOBODY, PUSH, SMS, Expected, Happening, Person
from tests.browser.dashboard_rows import Rows, a_day

_AT = Addresses(
    gateway="http://127.0.0.1:1",
    dashboard="http://127.0.0.1:2",
    simulators="http://127.0.0.1:3",
    relay_metrics="http://127.0.0.1:4",
)
_TEXTED = b'{"provider": "twilio", "to": "+1"}\n'


def _happening(contact: str, expected: Expected, phone: str = "+1") -> Happening:
    event = {"data": {"contacts": [{"id": contact, "phone": phone}]}}
    return Happening(event, contact, expected)


def test_each_surprise_is_named(database_url: str) -> None:
    happenings = [
        _happening("c_1", SMS),
        _happening("c_2", SMS, phone="+2"),
        _happening("c_3", PUSH),
        _happening("c_8", PUSH),
        _happening("c_10", NOBODY),
        _happening("c_13", SMS),
        _happening("c_99", SMS),
    ]
    with psycopg.connect(database_url) as connection:
        a_day(Rows(connection))
        result = collect(
            connection,
            source="backend",
            happenings=happenings,
            people=[Person("c_10", "Hana", "+1")],
            ledger=_TEXTED,
            seconds=1.5,
            addresses=_AT,
        )
    assert result.surprises == [
        "c_2: Twilio's ledger has nothing for this number",
        "c_3 is delivered by SMS, not delivered by push",
        "c_13 is open, not delivered by SMS",
        "c_99 is gone, not delivered by SMS",
    ]
    assert (result.ok, result.lost, result.operator_told) == (False, 1, 0)
    kinds = {kind.kind: kind for kind in result.kinds}
    assert (kinds["member.invited"].open, kinds["member.invited"].not_reached) == (3, 0)
    written = io.StringIO()
    show(result, Console(file=written, width=100, soft_wrap=True), logs=Path("/data/logs"))
    text = written.getvalue()
    told = "Hana (c_10) has no working number and no device → undeliverable"
    assert f"Not reached: {told}, the operator was NOT told" in text
    assert "✗ not as it must be: c_99 is gone" in text
    assert "3 have no end yet. The logs: /data/logs" in text
    assert "✓" not in text
