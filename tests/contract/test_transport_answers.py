"""Answers over real sockets: whole, never followed elsewhere, and in time."""

from __future__ import annotations

import asyncio
import time
import traceback

import pytest

from outbox.providers.transport import PooledTransport, TransportFault, retry_after_s
from tests.contract.loopback import answer, serve, silence


async def test_an_answer_is_whole_and_its_header_names_are_lower_case() -> None:
    async with serve(answer(418, b"\xff\x00", Retry_After="7")) as server:
        async with PooledTransport() as transport:
            got = await transport.request(
                "PUT", f"{server.url}/a?b=c", headers={"X-Y": "z"}, body=b"d"
            )
        assert (got.status, got.body, got.headers["retry-after"]) == (418, b"\xff\x00", "7")
        (sent,) = server.requests
    assert (sent.method, sent.target, sent.body) == ("PUT", "/a?b=c", b"d")
    assert sent.headers["x-y"] == "z"


async def test_redirects_are_answers() -> None:
    async with serve(answer(307, Location="/elsewhere")) as server:
        async with PooledTransport() as transport:
            got = await transport.request("POST", server.url, headers={}, body=b"a")
        assert (got.status, len(server.requests)) == (307, 1)


async def test_proxies_of_the_environment_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serve(answer(200)) as server, serve(answer(502)) as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        async with PooledTransport() as transport:
            got = await transport.request("GET", server.url, headers={}, body=None)
        assert (got.status, proxy.requests) == (200, [])


async def test_a_connection_is_used_again() -> None:
    ports = set()

    async def note(_: object, writer: asyncio.StreamWriter) -> None:
        ports.add(writer.get_extra_info("peername"))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    async with serve(note) as server, PooledTransport() as transport:
        for _ in range(5):
            await transport.request("POST", server.url, headers={}, body=b"a")
    assert len(ports) == 1


async def test_a_request_may_have_less_time_than_the_total_but_not_more() -> None:
    for total_s, given_s in ((30.0, 0.1), (0.2, 30.0), (30.0, -1.0)):
        async with serve(silence) as server, PooledTransport(total_timeout_s=total_s) as transport:
            started = time.monotonic()
            with pytest.raises(TransportFault, match="timeout"):
                await transport.request(
                    "POST", server.url, headers={}, body=b"a", timeout_s=given_s
                )
            assert time.monotonic() - started < 15.0


async def test_cancelling_frees_the_caller_at_once_and_the_wire_by_the_total_timeout() -> None:
    async with serve(silence) as server, PooledTransport(total_timeout_s=4.0) as transport:
        sending = asyncio.ensure_future(
            transport.request("POST", server.url, headers={}, body=b"a"),
        )
        await server.arrived.wait()
        started = time.monotonic()
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        assert time.monotonic() - started < 3.0
        async with asyncio.timeout(30):
            await server.left.wait()
        assert len(server.requests) == 1


@pytest.mark.parametrize(
    "url", ["ftp://127.0.0.1/?key=secret", "nowhere?key=secret", "http://[::1"]
)
async def test_an_impossible_address_is_our_own_fault(url: str) -> None:
    async with PooledTransport() as transport:
        with pytest.raises(ValueError, match=r".+") as caught:
            await transport.request("GET", url, headers={}, body=None)
    assert "secret" not in "".join(traceback.format_exception_only(caught.value))


_SENT_AT = "Tue, 24 Nov 2026 09:00:00 GMT"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": " 12 "}, 12.0),
        ({"retry-after": "9" * 400}, 86_400.0),
        ({"retry-after": "²"}, None),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "Tue, 24 Nov 2026 09:00:30 GMT", "date": _SENT_AT}, 30.0),
        ({"retry-after": "Tue, 24 Nov 2026 08:00:00 GMT", "date": _SENT_AT}, 0.0),
        ({"retry-after": "Wed, 24 Nov 2027 09:00:00 GMT", "date": _SENT_AT}, 86_400.0),
        ({"retry-after": "Tue, 24 Nov 2026 09:00:30 -0000", "date": _SENT_AT}, None),
        ({"retry-after": "Tue, 24 Nov 2026 09:00:30 GMT"}, None),
        ({"retry-after": "Tue, 99 Nov 2026 09:00:30 GMT", "date": _SENT_AT}, None),
    ],
)
def test_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after_s(headers) == seconds
