"""The operator's mail against a real server on loopback: handed over, or said why not."""

from __future__ import annotations

import ipaddress
import socket
import ssl
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from outbox.domain.messages import Page
from outbox.domain.outcomes import Outcome, Result
from outbox.providers.operator_mail import OperatorMail
from outbox.relay.ports import Pager
from outbox.smtp_address import SmtpAddress
from tests.contract.conftest import Events
from tests.contract.mail_server import PASSWORD, USER, MailServer, mail_server

PAGE = Page(
    notification_id="0192-n",
    event_id="0192-e",
    reason="no_contact_reached",
    summary="Missed check-in of m_1: none of 2 Contacts was reached.",
    occurred_at=datetime(2026, 11, 24, 9, 0, tzinfo=UTC),
)
SENDER, ONE, OTHER = "pruuf@pruuf.example", "oncall@pruuf.example", "second@pruuf.example"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Key and certificate of a server on loopback."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "loopback")])
    now = datetime.now(UTC)
    host = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([host]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    path.write_bytes(pem + signed.public_bytes(serialization.Encoding.PEM))
    return path


@pytest.fixture
def server_tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


@pytest.fixture
def trust(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(certificate)
    return context


def address(server: MailServer, *, login: bool = False, at_once: bool = False) -> SmtpAddress:
    return SmtpAddress(
        host="127.0.0.1",
        port=server.port,
        implicit_tls=at_once,
        user=USER if login else None,
        password=PASSWORD if login else None,
        sender=SENDER,
        recipients=(ONE, OTHER),
    )


async def test_a_page_is_one_mail_with_everything_to_go_on_with() -> None:
    async with mail_server() as server:
        pager: Pager = OperatorMail(address(server))
        outcome = await pager.send(PAGE)
        again = await pager.send(PAGE)
        first, second = server.taken
    assert (outcome.result, outcome.provider) == (Result.ACCEPTED, "operator")
    assert again.result is Result.ACCEPTED
    assert (first.sender, first.recipients) == (SENDER, (ONE, OTHER))
    message = first.message
    assert message["Subject"] == f"[Pruuf] {PAGE.summary}"
    assert message["Auto-Submitted"] == "auto-generated"
    text = message.get_content()
    for known in (PAGE.summary, PAGE.reason, "0192-e", "0192-n", "2026-11-24 09:00:00 UTC"):
        assert known in text
    # A mailbox can tell a repetition from a second emergency.
    assert message["Message-ID"] == second.message["Message-ID"] == "<0192-n@pruuf.example>"


async def test_an_id_that_somebody_chose_breaks_no_header() -> None:
    page = Page(
        notification_id="0192-n",
        event_id="0192-e",
        reason="no_contact",
        summary="Missed check-in of m\r\nBcc: all@pruuf.example\r\n\r\n.\r\nñ\u2028x",
        occurred_at=PAGE.occurred_at,
    )
    async with mail_server() as server:
        assert (await OperatorMail(address(server)).send(page)).result is Result.ACCEPTED
        [taken] = server.taken
    assert taken.message["Bcc"] is None
    assert taken.recipients == (ONE, OTHER)
    assert "ñ" in taken.message["Subject"]


async def test_tls_as_soon_as_it_is_offered(
    server_tls: ssl.SSLContext, trust: ssl.SSLContext
) -> None:
    async with mail_server(tls=server_tls) as server:
        pager = OperatorMail(address(server, login=True), tls=trust)
        assert (await pager.send(PAGE)).result is Result.ACCEPTED
        [taken] = server.taken
        words = [command.partition(" ")[0].upper() for command in server.commands]
    assert (taken.encrypted, taken.logged_in) == (True, True)
    # What was said in clear is not believed: it asks again.
    assert words[:4] == ["EHLO", "STARTTLS", "EHLO", "AUTH"]


async def test_tls_from_the_first_byte(server_tls: ssl.SSLContext, trust: ssl.SSLContext) -> None:
    async with mail_server(tls=server_tls, at_once=True) as server:
        pager = OperatorMail(address(server, login=True, at_once=True), tls=trust)
        assert (await pager.send(PAGE)).result is Result.ACCEPTED
        [taken] = server.taken
    assert (taken.encrypted, taken.logged_in) == (True, True)
    assert "STARTTLS" not in server.commands


@pytest.mark.parametrize("at_once", [False, True])
async def test_a_server_that_is_not_who_it_should_be_gets_nothing(
    at_once: bool, server_tls: ssl.SSLContext
) -> None:
    async with mail_server(tls=server_tls, at_once=at_once) as server:
        outcome = await OperatorMail(address(server, login=True, at_once=at_once)).send(PAGE)
    assert (outcome.result, outcome.code) == (Result.CONFIGURATION_FAULT, "tls")
    assert "AUTH" not in server.commands
    assert server.taken == []


async def test_a_password_is_never_sent_in_clear_over_a_network(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("outbox.providers.operator_smtp._is_near", lambda _: False)
    async with mail_server() as server:
        outcome = await OperatorMail(address(server, login=True)).send(PAGE)
    assert (outcome.result, outcome.code) == (Result.CONFIGURATION_FAULT, "no_tls")
    assert "AUTH" not in server.commands


_PASSING = Result.RETRYABLE
_LASTING = Result.CONFIGURATION_FAULT


@pytest.mark.parametrize(
    ("answers", "result", "code"),
    [
        ({"greeting": "421 later"}, _PASSING, "421"),
        ({"greeting": "554 no service"}, _LASTING, "554"),
        ({"greeting": "what?"}, _PASSING, "malformed_answer"),
        ({"EHLO": "451 later", "HELO": "451 later"}, _PASSING, "451"),
        ({"AUTH": "454 later"}, _PASSING, "454"),
        ({"AUTH": "535 who are you"}, _LASTING, "535"),
        ({"EHLO": "250 mail.example"}, _LASTING, "no_auth"),
        ({"MAIL": "451 later"}, _PASSING, "451"),
        ({"MAIL": "550 not from you"}, _LASTING, "550"),
        ({"RCPT": "450 later"}, _PASSING, "450"),
        ({"RCPT": "550 nobody here"}, _LASTING, "550"),
        ({ONE: "550 nobody here", OTHER: "450 later"}, _PASSING, "450"),
        ({"DATA": "451 later"}, _PASSING, "451"),
        ({"DATA": "554 no"}, _LASTING, "554"),
        ({".": "452 full"}, _PASSING, "452"),
        ({".": "554 spam"}, _LASTING, "554"),
        ({"greeting": ""}, _PASSING, "closed"),
        ({"MAIL": ""}, _PASSING, "closed"),
        ({".": ""}, _PASSING, "closed"),
    ],
)
async def test_every_refusal_is_classified(
    answers: dict[str, str | None], result: Result, code: str
) -> None:
    async with mail_server(answers) as server:
        outcome = await OperatorMail(address(server, login=True)).send(PAGE)
    assert (outcome.result, outcome.code) == (result, code)
    assert server.taken == []


async def test_one_recipient_is_enough() -> None:
    async with mail_server({ONE: "550 nobody here"}) as server:
        assert (await OperatorMail(address(server)).send(PAGE)).result is Result.ACCEPTED
        [taken] = server.taken
    assert taken.recipients == (OTHER,)


@pytest.mark.parametrize("goodbye", ["", "421 what", "drip"])
async def test_what_was_taken_stays_taken(goodbye: str) -> None:
    async with mail_server({"QUIT": goodbye}) as server:
        outcome = await OperatorMail(address(server), total_timeout_s=20.0).send(PAGE)
        assert len(server.taken) == 1
    assert outcome.result is Result.ACCEPTED


def _talking() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "operator mail"]


@pytest.mark.parametrize("step", ["greeting", "EHLO", "MAIL", "."])
@pytest.mark.parametrize("silence", [None, "drip"])
async def test_a_server_that_takes_for_ever_costs_the_time_out_and_no_thread(
    step: str, silence: str | None
) -> None:
    async with mail_server({step: silence}) as server:
        began = time.monotonic()
        outcome = await OperatorMail(address(server), total_timeout_s=1.0).send(PAGE)
        assert time.monotonic() - began < 10
        for thread in _talking():
            thread.join(60)
        assert _talking() == []
    assert (outcome.result, outcome.code) == (Result.RETRYABLE, "timeout")


async def test_a_handshake_that_never_comes_costs_the_time_out_and_no_thread() -> None:
    async with mail_server() as server:
        outcome = await OperatorMail(address(server, at_once=True), total_timeout_s=1.0).send(PAGE)
        for thread in _talking():
            thread.join(60)
    # A plain greeting where TLS should be is no TLS at all.
    assert outcome.result in {Result.RETRYABLE, Result.CONFIGURATION_FAULT}
    assert outcome.code in {"timeout", "tls"}
    assert _talking() == []


async def test_nobody_there_is_retryable() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        server = MailServer({}, None)
        server.port = taken.getsockname()[1]
        outcome = await OperatorMail(address(server)).send(PAGE)
    assert (outcome.result, outcome.code) == (Result.RETRYABLE, "connect")


async def test_a_check_logs_in_and_hands_nothing_over() -> None:
    async with mail_server() as server:
        assert (await OperatorMail(address(server, login=True)).check()).result is Result.ACCEPTED
        words = [command.partition(" ")[0].upper() for command in server.commands]
    # Nobody waits for the goodbye: it may not have come yet.
    assert [word for word in words if word != "QUIT"] == ["EHLO", "AUTH"]
    assert server.taken == []


async def checked(step: str, answer: str) -> Outcome:
    async with mail_server({step: answer}) as server:
        return await OperatorMail(address(server, login=True)).check()


async def test_a_check_says_what_a_page_would_meet() -> None:
    assert (await checked("AUTH", "535 no")).code == "535"
    assert (await checked("greeting", "421 later")).result is Result.RETRYABLE


@pytest.mark.parametrize("answers", [{}, {"AUTH": "535 who are you"}, {"DATA": "554 no"}])
async def test_each_page_is_one_event_without_password_or_mailbox(
    answers: dict[str, str | None], events: Events
) -> None:
    async with mail_server(answers) as server:
        await OperatorMail(address(server, login=True)).send(PAGE)
    ((name, fields),) = events.wide
    assert name == "operator.mail"
    assert {"provider", "result", "code", "provider_id", "latency_ms"} <= fields.keys()
    assert fields["notification_id"] == "0192-n"
    for secret in (PASSWORD, ONE, OTHER, SENDER):
        assert secret not in events.text
