"""``pruuf doctor`` tries every path to the person on call, and calls them only when told to."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from tests.contract.loopback import answer, serve
from tests.contract.mail_server import MailServer, mail_server
from tests.integration.cli_process import Cli

from .conftest import environment


@pytest.fixture
def cli(tmp_path: Path, database_url: str) -> Cli:
    return Cli(tmp_path, **environment(database_url))


def mail_to(server: MailServer) -> str:
    return f"smtp://127.0.0.1:{server.port}/?from=a@pruuf.example&to=b@pruuf.example"


async def doctor(cli: Cli, *arguments: str, **settings: str) -> dict[str, dict[str, Any]]:
    """The checks of the operator, by name; something else is always wrong here."""
    run = asyncio.to_thread(cli.run, "doctor", "--json", *arguments, env=settings)
    checks = json.loads((await run).ended(1).out)["checks"]
    return {check["name"]: check for check in checks if check["name"].startswith("operator")}


async def test_both_paths_are_tried_and_nobody_is_called(cli: Cli) -> None:
    async with serve(answer(204)) as hook, mail_server() as server:
        checks = await doctor(
            cli,
            PRUUF_OPERATOR_WEBHOOK=f"{hook.url}/page",
            PRUUF_OPERATOR_SMTP=mail_to(server),
        )
        assert hook.requests == []
        assert server.taken == []
        assert server.commands[0].upper().startswith("EHLO")
    assert {name: check["ok"] for name, check in checks.items()} == {
        "operator by webhook": True,
        "operator by mail": True,
    }


async def test_a_test_page_says_that_it_is_one(cli: Cli) -> None:
    async with serve(answer(204)) as hook, mail_server() as server:
        checks = await doctor(
            cli,
            "--page",
            PRUUF_OPERATOR_WEBHOOK=f"{hook.url}/page",
            PRUUF_OPERATOR_SMTP=mail_to(server),
        )
        [posted], [mailed] = hook.requests, server.taken
    assert all(check["ok"] for check in checks.values())
    page = json.loads(posted.body)
    assert page["reason"] == "test"
    assert "test" in page["summary"]
    assert "test" in mailed.message["Subject"]
    assert page["notification_id"] in mailed.message["Message-ID"]


async def test_a_path_that_does_not_work_is_named_with_its_setting(cli: Cli) -> None:
    async with mail_server({"greeting": "554 no service"}) as server:
        checks = await doctor(
            cli,
            PRUUF_OPERATOR_WEBHOOK="http://127.0.0.1:1/page",
            PRUUF_OPERATOR_SMTP=mail_to(server),
        )
    webhook, mail = checks["operator by webhook"], checks["operator by mail"]
    assert (webhook["ok"], webhook["detail"]) == (False, "no usable answer: no connection")
    assert (mail["ok"], mail["detail"]) == (False, "refused: 554")
    assert "PRUUF_OPERATOR_SMTP" in mail["remedy"]


async def test_without_a_path_both_settings_are_named(cli: Cli) -> None:
    checks = await doctor(cli)
    assert list(checks) == ["operator"]
    for name in ("PRUUF_OPERATOR_WEBHOOK", "PRUUF_OPERATOR_SMTP"):
        assert name in checks["operator"]["remedy"]
