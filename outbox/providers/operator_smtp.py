"""One talk with a mail server: smtplib on a connection that can be broken from outside.

A password is never sent over a line that others can read.
"""

from __future__ import annotations

import smtplib
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from email.message import EmailMessage
from ipaddress import ip_address

from outbox.providers.calls import MALFORMED
from outbox.settings import SmtpAddress

_READY = 220
_PASSING = range(400, 500)
_LASTING = range(500, 600)
_GRACE_S = 5.0


class Refusal(Exception):  # noqa: N818 - the word of the protocol
    """The page was not taken."""

    def __init__(self, *, code: str, passing: bool) -> None:
        """``code`` is the server's, or our name for what went wrong; ``passing``: try again."""
        super().__init__(code)
        self.code = code
        self.passing = passing


class SmtpSession:
    """Used by one thread, once; `abort` may be called by any."""

    def __init__(
        self,
        address: SmtpAddress,
        *,
        tls: ssl.SSLContext | None,
        timeout_s: float,
    ) -> None:
        """Nothing is opened yet."""
        self._address = address
        self._tls = tls
        self._timeout_s = timeout_s
        self._socket: socket.socket | None = None
        self._encrypted = False
        self._aborted = False

    @property
    def connected(self) -> bool:
        """Whether a connection was made."""
        return self._socket is not None

    def greet(self) -> int:
        """Connect, say who we are, log in and leave. Raises `Refusal`; 0."""
        with self._connected():
            return 0

    def hand_over(self, message: EmailMessage) -> int:
        """Hand a message over to all recipients that the server takes; how many it refused.

        Raises `Refusal` when it took it for nobody.
        """
        with self._connected() as client:
            return len(
                client.send_message(
                    message,
                    from_addr=self._address.sender,
                    to_addrs=list(self._address.recipients),
                ),
            )

    def abort(self) -> None:
        """Break the connection: whoever waits for it stops waiting."""
        self._aborted = True
        if self._socket is not None:
            with suppress(OSError):
                # Not the method of a TLS socket, which the other thread may be inside of.
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    @contextmanager
    def _connected(self) -> Iterator[smtplib.SMTP]:
        with _refusing():
            self._socket = self._connect()
            if self._aborted:
                self._socket.close()
                raise Refusal(code="timeout", passing=True)
            # An address in place of a name: looking our own up may take long.
            client = smtplib.SMTP(local_hostname=_literal(self._socket))
            client.sock = self._socket
            try:
                self._introduce(client)
                yield client
                # What was taken stays taken: nobody waits for the goodbye.
                with suppress(smtplib.SMTPException, OSError):
                    client.putcmd("QUIT")
            finally:
                client.close()

    def _connect(self) -> socket.socket:
        where = (self._address.host, self._address.port)
        try:
            # Longer than whoever waits: it is they who end it, and say why.
            return socket.create_connection(where, timeout=self._timeout_s + _GRACE_S)
        except socket.gaierror:
            raise Refusal(code="dns", passing=True) from None
        except OSError:
            raise Refusal(code="connect", passing=True) from None

    def _introduce(self, client: smtplib.SMTP) -> None:
        if self._address.implicit_tls:
            self._encrypt(client)
        code, said = client.getreply()
        if code != _READY:
            raise smtplib.SMTPConnectError(code, said)
        client.ehlo_or_helo_if_needed()
        if not self._encrypted and client.has_extn("starttls"):
            code, said = client.docmd("STARTTLS")
            if code != _READY:
                raise smtplib.SMTPResponseException(code, said)
            self._encrypt(client)
            client.ehlo_or_helo_if_needed()
        if self._address.user is None or self._address.password is None:
            return
        if not self._encrypted and not _is_near(client.sock):
            raise Refusal(code="no_tls", passing=False)
        client.login(self._address.user, self._address.password)

    def _encrypt(self, client: smtplib.SMTP) -> None:
        context = self._tls or ssl.create_default_context()
        plain = client.sock
        if plain is None:
            raise Refusal(code="closed", passing=True)
        secured = context.wrap_socket(
            plain,
            server_hostname=self._address.host,
            do_handshake_on_connect=False,
        )
        # Before the handshake: it may have to be broken off.
        self._socket = client.sock = secured
        if self._aborted:
            raise Refusal(code="timeout", passing=True)
        secured.do_handshake()
        self._encrypted = True
        # Nothing that was said in clear is believed (RFC 3207, section 4.2).
        client.file = None
        client.helo_resp = client.ehlo_resp = None
        client.esmtp_features = {}
        client.does_esmtp = False


def _literal(connected: socket.socket) -> str:
    host = connected.getsockname()[0]
    return f"[IPv6:{host.partition('%')[0]}]" if ":" in host else f"[{host}]"


def _is_near(connected: socket.socket | None) -> bool:
    """Whether the line does not leave this machine."""
    if connected is None:
        return False
    return ip_address(connected.getpeername()[0].partition("%")[0]).is_loopback


@contextmanager
def _refusing() -> Iterator[None]:
    """Everything that a server, or the way to it, may do wrong, as a `Refusal`."""
    try:
        yield
    except smtplib.SMTPRecipientsRefused as error:
        # One that may be taken later is worth another try.
        codes = [code for code, _ in error.recipients.values()]
        raise _by_code(min(codes)) from None
    except smtplib.SMTPResponseException as error:
        raise _by_code(error.smtp_code) from None
    except smtplib.SMTPServerDisconnected:
        raise Refusal(code="closed", passing=True) from None
    except smtplib.SMTPException:
        # It knows no way of logging in, or none that we know.
        raise Refusal(code="no_auth", passing=False) from None
    except ssl.SSLError:
        raise Refusal(code="tls", passing=False) from None
    except TimeoutError:
        raise Refusal(code="timeout", passing=True) from None
    except OSError:
        raise Refusal(code="closed", passing=True) from None


def _by_code(code: int) -> Refusal:
    if code in _LASTING:
        return Refusal(code=str(code), passing=False)
    known = str(code) if code in _PASSING else MALFORMED
    return Refusal(code=known, passing=True)
