"""Both paths to the person on call: the page is accepted if one of them took it."""

from __future__ import annotations

from pathlib import Path

import pytest

from outbox.domain.outcomes import Result
from outbox.providers.operator_paths import Operator
from outbox.providers.transport import PooledTransport
from outbox.providers.wiring import operator
from outbox.settings import Settings, load
from tests.contract.conftest import Events
from tests.contract.loopback import answer, hang_up, serve, silence
from tests.contract.mail_server import mail_server
from tests.contract.test_operator_smtp import PAGE

_KEY = "A" * 43


def configured(folder: Path, **settings: str) -> Settings:
    given = {"DATABASE_URL": "postgresql://x/y", "PRUUF_KEYS": _KEY, "PRUUF_LOOKUP_KEYS": _KEY}
    return load({**given, **settings}, cwd=folder)


def mail_to(port: int) -> str:
    return f"smtp://127.0.0.1:{port}/?from=a@pruuf.example&to=b@pruuf.example"


@pytest.mark.parametrize(
    ("webhook", "mail", "result", "code"),
    [
        (answer(204), {}, Result.ACCEPTED, None),
        (answer(500), {}, Result.ACCEPTED, None),
        (answer(403), {}, Result.ACCEPTED, None),
        (hang_up, {}, Result.ACCEPTED, None),
        (answer(204), {"DATA": "554 no"}, Result.ACCEPTED, None),
        (answer(204), {"greeting": ""}, Result.ACCEPTED, None),
        (answer(403), {"DATA": "451 later"}, Result.RETRYABLE, "451"),
        (answer(500), {"DATA": "554 no"}, Result.RETRYABLE, "500"),
        (answer(403), {"DATA": "554 no"}, Result.CONFIGURATION_FAULT, "403"),
    ],
)
async def test_one_that_took_it_is_enough(
    webhook: object, mail: dict[str, str], result: Result, code: str | None, tmp_path: Path
) -> None:
    async with (
        serve(webhook) as hook,  # type: ignore[arg-type] # a behaviour each
        mail_server(mail) as server,
        PooledTransport() as transport,
    ):
        settings = configured(
            tmp_path,
            PRUUF_OPERATOR_WEBHOOK=f"{hook.url}/page",
            PRUUF_OPERATOR_SMTP=mail_to(server.port),
        )
        outcome = await operator(settings, transport).send(PAGE)
        # Both are tried, whatever the other one says.
        assert len(hook.requests) == 1
        assert server.commands or mail
    assert (outcome.result, outcome.code, outcome.provider) == (result, code, "operator")


async def test_the_one_that_failed_is_named(tmp_path: Path, events: Events) -> None:
    async with mail_server({"DATA": "554 no"}) as server, serve(answer(204)) as hook:
        settings = configured(
            tmp_path,
            PRUUF_OPERATOR_WEBHOOK=f"{hook.url}/page?key=s3cret",
            PRUUF_OPERATOR_SMTP=mail_to(server.port),
        )
        async with PooledTransport() as transport:
            await operator(settings, transport).send(PAGE)
    assert "the operator's mail did not take it (554)" in events.text
    assert {name for name, _ in events.wide} == {"operator.page", "operator.mail"}
    for secret in ("s3cret", "b@pruuf.example"):
        assert secret not in events.text


@pytest.mark.parametrize("which", ["webhook", "mail"])
async def test_one_path_alone_will_do(which: str, tmp_path: Path) -> None:
    async with mail_server() as server, serve(answer(204)) as hook, PooledTransport() as transport:
        given = {
            "webhook": {"PRUUF_OPERATOR_WEBHOOK": f"{hook.url}/page"},
            "mail": {"PRUUF_OPERATOR_SMTP": mail_to(server.port)},
        }[which]
        outcome = await operator(configured(tmp_path, **given), transport).send(PAGE)
        assert (len(hook.requests), len(server.taken)) == ((1, 0) if which == "webhook" else (0, 1))
    assert outcome.result is Result.ACCEPTED


async def test_without_a_path_every_call_says_so(tmp_path: Path) -> None:
    async with PooledTransport() as transport:
        outcome = await operator(configured(tmp_path), transport).send(PAGE)
    assert (outcome.result, outcome.code) == (Result.CONFIGURATION_FAULT, "no_operator_path")
    assert Operator({}).paths == {}


async def test_one_that_hangs_does_not_keep_the_page_from_the_other(tmp_path: Path) -> None:
    async with mail_server() as server, serve(silence) as hook:
        settings = configured(
            tmp_path,
            PRUUF_OPERATOR_WEBHOOK=f"{hook.url}/page",
            PRUUF_OPERATOR_SMTP=mail_to(server.port),
        )
        async with PooledTransport(total_timeout_s=1.0) as transport:
            outcome = await operator(settings, transport).send(PAGE)
        assert len(server.taken) == 1
    assert outcome.result is Result.ACCEPTED
