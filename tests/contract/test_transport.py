"""Faults of real sockets: above all, whether the request certainly did not reach the other side."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import ssl
import time
import traceback
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from pyreqwest.client import ClientBuilder
from pyreqwest.exceptions import ConnectError, PoolTimeoutError, PyreqwestError, RequestPanicError

from outbox.providers.transport import (
    PooledTransport,
    TransportFault,
    fault_of,
)
from tests.contract.loopback import (
    Behaviour,
    answer,
    drip,
    hang_up,
    raw,
    reset,
    serve,
    silence,
)

_TIMEOUT_S = 0.6
_HALF = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"
_NO_GZIP = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nplain"


async def post(url: str, *, timeout_s: float = _TIMEOUT_S, body: bytes = b"a=b") -> TransportFault:
    """The fault of one POST, which must not take longer than its total time-out."""
    started = time.monotonic()
    async with PooledTransport(total_timeout_s=timeout_s) as transport:
        with pytest.raises(TransportFault) as caught:
            await transport.request("POST", url, headers={}, body=body)
    assert time.monotonic() - started < timeout_s + 10.0
    return caught.value


@pytest.mark.parametrize(
    ("behaviour", "kind", "sent"),
    [
        (hang_up, "closed", None),
        (reset, "closed", None),
        (silence, "timeout", None),
        (drip, "timeout", True),
        (raw(_HALF), "broken", True),
        (raw(b"HTTP/1.1 200 OK\r\nContent-Le"), "closed", None),
        (raw(b"SSH-2.0-OpenSSH\r\n\r\n"), "broken", None),
        (raw(_NO_GZIP), "broken", True),
    ],
    ids=["hang-up", "reset", "silence", "drip", "half body", "half head", "junk", "no gzip"],
)
async def test_a_request_that_arrived_never_counts_as_unsent(
    behaviour: Behaviour,
    kind: str,
    sent: bool | None,
) -> None:
    async with serve(behaviour) as server:
        fault = await post(server.url)
        assert (fault.kind, fault.sent) == (kind, sent)
        assert not fault.certainly_unsent
        # And it came once: nobody below repeats it.
        assert [request.body for request in server.requests] == [b"a=b"]


async def test_a_body_that_nobody_reads_counts_as_maybe_sent() -> None:
    with listening(backlog=16) as port:
        fault = await post(f"http://127.0.0.1:{port}", body=b"a" * 20_000_000)
    assert (fault.kind, fault.sent) == ("timeout", None)


@contextlib.contextmanager
def listening(backlog: int) -> Iterator[int]:
    """A port that takes connections and never accepts them."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(backlog)
        yield listener.getsockname()[1]


async def test_a_refused_connection_is_unsent() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        fault = await post(f"http://127.0.0.1:{taken.getsockname()[1]}")
    assert (fault.kind, fault.sent) == ("connect", False)
    assert fault.certainly_unsent


async def test_a_connection_that_is_never_made_is_unsent() -> None:
    with listening(backlog=0) as port, contextlib.ExitStack() as held:
        for _ in range(4):
            waiting = held.enter_context(socket.socket())
            waiting.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                waiting.connect(("127.0.0.1", port))
        fault = await post(f"http://127.0.0.1:{port}")
    assert (fault.kind, fault.sent) == ("connect_timeout", False)


async def test_tls_to_a_port_without_it_is_unsent() -> None:
    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(plain, "127.0.0.1", 0)
    async with server:
        fault = await post(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    assert (fault.kind, fault.sent) == ("tls", False)


async def test_tls_to_a_port_that_says_nothing_is_unsent() -> None:
    with listening(backlog=16) as port:
        fault = await post(f"https://127.0.0.1:{port}")
    assert (fault.kind, fault.sent) == ("connect_timeout", False)


async def test_a_certificate_that_nobody_vouches_for_is_unsent(tmp_path: Path) -> None:
    async with serve(answer(200), tls=_self_signed(tmp_path)) as server:
        fault = await post(server.url)
        assert server.requests == []
    assert (fault.kind, fault.sent) == ("tls", False)


def _self_signed(folder: Path) -> ssl.SSLContext:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "loopback")])
    now = datetime.now(UTC)
    host = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    certificate = (
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
    path = folder / "server.pem"
    path.write_bytes(pem + certificate.public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context


async def test_a_full_pool_is_unsent() -> None:
    client = (
        ClientBuilder()
        .no_proxy()
        .timeout(timedelta(seconds=5))
        .max_connections(1)
        .pool_timeout(timedelta(seconds=0.1))
        .build()
    )
    async with serve(silence) as server, client:
        first = asyncio.ensure_future(client.post(server.url).build().send())
        await server.arrived.wait()
        with pytest.raises(PoolTimeoutError) as caught:
            await client.post(server.url).build().send()
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        assert len(server.requests) == 1
    fault = fault_of(caught.value)
    assert (fault.kind, fault.sent) == ("pool", False)


def test_a_name_that_does_not_resolve_is_unsent() -> None:
    # As the client says it; tests ask no name server.
    causes = ["error sending request for url (http://a.example/)", "client error (Connect)"]
    causes += ["dns error", "failed to lookup address information"]
    error = ConnectError("connection error", {"causes": [{"message": c} for c in causes]})
    fault = fault_of(error)
    assert (fault.kind, fault.sent) == ("dns", False)


@pytest.mark.parametrize(
    "error",
    [
        ConnectError("connection error", {"causes": None}),
        ConnectError("connection error", {"causes": [{"message": "in other words"}]}),
        RequestPanicError("a bug in the client", {"causes": None}),
        PyreqwestError("without details"),
    ],
)
def test_what_is_not_recognised_counts_as_maybe_sent(error: PyreqwestError) -> None:
    assert fault_of(error).sent is None


async def test_a_fault_shows_no_address_not_even_in_its_traceback() -> None:
    secret = f"{time.monotonic_ns()}"
    async with serve(hang_up) as server:
        fault = await post(f"{server.url}/hook?key={secret}")
    assert fault.__context__ is None
    assert secret not in "".join(traceback.format_exception(fault))
