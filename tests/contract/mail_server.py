"""A mail server on loopback that takes mail, or fails at a step, as it is told to."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage

from msgspec import Struct

USER, PASSWORD = "pruuf", "hush/hush"


class Taken(Struct, frozen=True):
    """One mail as it was handed over."""

    sender: str
    recipients: tuple[str, ...]
    message: EmailMessage
    encrypted: bool
    logged_in: bool


class MailServer:
    """Keeps what it takes. ``answers`` replaces what it says to a command, by its first word.

    ``greeting`` and ``.`` (after the data) are commands too. An answer of null is none at all, an
    empty one ends the connection.
    """

    def __init__(self, answers: Mapping[str, str | None], tls: ssl.SSLContext | None) -> None:
        self.answers = dict(answers)
        self.tls = tls
        self.offers_tls = tls is not None
        self.taken: list[Taken] = []
        self.commands: list[str] = []
        self.port = 0
        self._tasks: set[asyncio.Task[None]] = set()

    def opened(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
                await _Talk(self, reader, writer).run()
        finally:
            writer.transport.abort()

    async def say(self, writer: asyncio.StreamWriter, command: str, usual: str) -> bool:
        """Answer a command; whether the talk goes on as usual."""
        answer = self.answers.get(command, usual)
        if answer is None:
            await asyncio.Event().wait()
        if not answer:
            raise ConnectionResetError
        if answer == "drip":
            await _drip(writer)
        writer.write(f"{answer}\r\n".encode())
        await writer.drain()
        return answer == usual

    async def close(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def _drip(writer: asyncio.StreamWriter) -> None:
    for _ in range(1000):
        writer.write(b"2")
        await writer.drain()
        await asyncio.sleep(0.05)


class _Talk:
    def __init__(
        self,
        server: MailServer,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self._server = server
        self._reader, self._writer = reader, writer
        self._sender, self._recipients = "", list[str]()
        self._logged_in = False

    @property
    def _encrypted(self) -> bool:
        return self._writer.get_extra_info("ssl_object") is not None

    async def _line(self) -> str:
        return (await self._reader.readuntil(b"\r\n")).decode().rstrip("\r\n")

    async def run(self) -> None:
        await self._server.say(self._writer, "greeting", "220 mail.example ready")
        word = ""
        while word != "QUIT":
            line = await self._line()
            word = line.partition(" ")[0].upper()
            self._server.commands.append(line if word != "AUTH" else word)
            if word == "AUTH":
                await self._auth(line)
            elif word in {"MAIL", "RCPT"}:
                await self._envelope(word, line)
            else:
                usual = {"EHLO": self._features(), "DATA": "354 go on", "QUIT": "221 bye"}
                if await self._server.say(self._writer, word, usual.get(word, "220 ok")):
                    await self._after(word)

    async def _after(self, word: str) -> None:
        if word == "STARTTLS":
            assert self._server.tls is not None
            await self._writer.start_tls(self._server.tls)
        if word == "DATA":
            await self._data()

    async def _envelope(self, word: str, line: str) -> None:
        mailbox = line.partition("<")[2].partition(">")[0]
        answer = mailbox if mailbox in self._server.answers else word
        if not await self._server.say(self._writer, answer, "250 ok"):
            return
        if word == "MAIL":
            self._sender = mailbox
        else:
            self._recipients.append(mailbox)

    def _features(self) -> str:
        lines = ["mail.example", "8BITMIME"]
        if self._server.offers_tls and not self._encrypted:
            lines.append("STARTTLS")
        lines.append("AUTH PLAIN")
        return "\r\n".join([*(f"250-{line}" for line in lines[:-1]), f"250 {lines[-1]}"])

    async def _auth(self, line: str) -> None:
        said = base64.b64decode(line.split(" ")[2]).decode().split("\0")
        right = said[1:] == [USER, PASSWORD]
        usual = "235 welcome" if right else "535 who are you"
        self._logged_in = await self._server.say(self._writer, "AUTH", usual) and right

    async def _data(self) -> None:
        raw = (await self._reader.readuntil(b"\r\n.\r\n")).removesuffix(b".\r\n")
        if await self._server.say(self._writer, ".", "250 taken"):
            message = message_from_bytes(raw, policy=policy.default)
            assert isinstance(message, EmailMessage)
            self._server.taken.append(
                Taken(
                    sender=self._sender,
                    recipients=tuple(self._recipients),
                    message=message,
                    encrypted=self._encrypted,
                    logged_in=self._logged_in,
                ),
            )


@asynccontextmanager
async def mail_server(
    answers: Mapping[str, str | None] | None = None,
    *,
    tls: ssl.SSLContext | None = None,
    at_once: bool = False,
) -> AsyncIterator[MailServer]:
    """Serve on a free port until the block ends; ``at_once``: TLS from the first byte."""
    server = MailServer(answers or {}, tls)
    listening = await asyncio.start_server(
        server.opened, "127.0.0.1", 0, ssl=tls if at_once else None
    )
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listening.close()
        await server.close()
        await listening.wait_closed()
