"""The mail server's address: what it says, and what is refused without repeating the password."""

from __future__ import annotations

import pytest

from outbox.setting_values import masked
from outbox.smtp_address import SmtpAddress, parse


def test_everything_is_read() -> None:
    read = parse("smtp://us%40er:p%2Fa%23ss@mail.example:2525/?from=a@b.example&to=c@d.example")
    assert read == SmtpAddress(
        host="mail.example",
        port=2525,
        implicit_tls=False,
        user="us@er",
        password="p/a#ss",
        sender="a@b.example",
        recipients=("c@d.example",),
    )
    assert read.shown == "smtp://mail.example:2525"


@pytest.mark.parametrize(
    ("text", "host", "port", "tls"),
    [
        ("smtp://mail.example?from=a@b&to=c@d", "mail.example", 587, False),
        ("smtps://mail.example/?from=a@b&to=c@d", "mail.example", 465, True),
        ("smtps://[::1]:25/?from=a@b&to=c@d", "::1", 25, True),
    ],
)
def test_where(text: str, host: str, port: int, tls: bool) -> None:
    read = parse(text)
    assert (read.host, read.port, read.implicit_tls) == (host, port, tls)
    assert read.user is read.password is None


def test_several_are_written_to_each_once() -> None:
    query = "from=a@b&to=on+call@d,e@f&to=c%40d&to=e@f"
    assert parse(f"smtp://mail/?{query}").recipients == ("on+call@d", "e@f", "c@d")


@pytest.mark.parametrize(
    "text",
    [
        "mail.example",
        "http://hush:hush@mail/?from=a@b&to=c@d",
        "SMTP//hush@mail/?from=a@b&to=c@d",
        "smtp:///?from=a@b&to=c@d",
        "smtp://mail:0/?from=a@b&to=c@d",
        "smtp://mail:hush/?from=a@b&to=c@d",
        "smtp://mail:99999/?from=a@b&to=c@d",
        "smtp://[hush/?from=a@b&to=c@d",
        "smtp://hush:hu/sh@mail/?from=a@b&to=c@d",
        "smtp://hush@mail/?from=a@b&to=c@d",
        "smtp://:hush@mail/?from=a@b&to=c@d",
        "smtp://mail/hush?from=a@b&to=c@d",
        "smtp://mail/?from=a@b&to=c@d#hush",
        "smtp://mail/?from=a@b",
        "smtp://mail/?to=c@d",
        "smtp://mail/?from=&to=c@d",
        "smtp://mail/?from=a@b&from=c@d&to=c@d",
        "smtp://mail/?from=hush&to=c@d",
        "smtp://mail/?from=a@b&to=hush%0d%0aRCPT@d",
        "smtp://mail/?from=a@b&to=c@d&bcc=hush@f",
        "smtp://two words/?from=a@b&to=c@d",
    ],
)
def test_refused(text: str) -> None:
    with pytest.raises(ValueError, match="address") as caught:
        parse(text)
    assert "hush" not in str(caught.value)
    assert masked("PRUUF_OPERATOR_SMTP", text) == f"{len(text)} characters"
