"""A small OpenID Connect provider on loopback: discovery, authorize, token and keys; RS256, PKCE.

It signs in whoever it is told to without asking; what it is strict about is what a real one is.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast
from urllib.parse import parse_qs, urlencode, urlsplit

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

CLIENT, SECRET = "pruuf-dashboard", "a-client-secret"
_CODE_S = 60


def _plain(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _number(value: int) -> str:
    return _plain(value.to_bytes((value.bit_length() + 7) // 8, "big"))


class Provider(ThreadingHTTPServer):
    """Its state."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.claims: dict[str, Any] = {}
        """Of who signs in next."""
        self.forged = False
        """Tokens are signed by a key that is not among those it shows."""
        self.codes: dict[str, dict[str, str]] = {}
        self.refused: list[str] = []
        """Why it gave no token."""
        self.issued = 0
        """Tokens that it gave."""
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.other = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    def token(self, nonce: str) -> str:
        """An ID token for whoever signs in."""
        now = int(time.time())
        claims = {
            "iss": self.url,
            "aud": CLIENT,
            "iat": now,
            "exp": now + 3600,
            "nonce": nonce,
            **self.claims,
        }
        head = {"alg": "RS256", "typ": "JWT", "kid": "one"}
        signed = ".".join(_plain(json.dumps(part).encode()) for part in (head, claims))
        key = self.other if self.forged else self.key
        signature = key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{signed}.{_plain(signature)}"


class _Handler(BaseHTTPRequestHandler):
    @property
    def _provider(self) -> Provider:
        return cast("Provider", self.server)

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _answer(self, value: object, status: int = 200) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        path = urlsplit(self.path)
        if path.path == "/.well-known/openid-configuration":
            self._answer(self._discovery())
        elif path.path == "/keys":
            numbers = self._provider.key.public_key().public_numbers()
            key = {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": "one"}
            self._answer({"keys": [{**key, "n": _number(numbers.n), "e": _number(numbers.e)}]})
        elif path.path == "/authorize":
            self._authorize({name: value[0] for name, value in parse_qs(path.query).items()})
        else:
            self._answer({"error": "not_found"}, 404)

    def _discovery(self) -> dict[str, object]:
        url = self._provider.url
        return {
            "issuer": url,
            "authorization_endpoint": f"{url}/authorize",
            "token_endpoint": f"{url}/token",
            "jwks_uri": f"{url}/keys",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic"],
        }

    def _authorize(self, asked: dict[str, str]) -> None:
        wanted = {"client_id": CLIENT, "response_type": "code", "code_challenge_method": "S256"}
        wrong = [name for name, value in wanted.items() if asked.get(name) != value]
        wrong += [name for name in ("state", "nonce", "redirect_uri") if not asked.get(name)]
        if wrong or "openid" not in asked.get("scope", "").split():
            self._answer({"error": "invalid_request", "about": wrong}, 400)
            return
        code = secrets.token_urlsafe(16)
        self._provider.codes[code] = {**asked, "until": str(time.time() + _CODE_S)}
        query = urlencode({"code": code, "state": asked["state"]})
        self.send_response(302)
        self.send_header("Location", f"{asked['redirect_uri']}?{query}")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        form = {n: v[0] for n, v in parse_qs(self.rfile.read(length).decode()).items()}
        # Once: a code that comes again was stolen.
        asked = self._provider.codes.pop(form.get("code", ""), None)
        why = self._wrong(form, asked)
        if why or asked is None:
            self._provider.refused.append(why or "code")
            self._answer({"error": "invalid_grant"}, 400)
            return
        token = self._provider.token(asked["nonce"])
        self._provider.issued += 1
        self._answer(
            {"access_token": "x", "token_type": "Bearer", "expires_in": 3600, "id_token": token}
        )

    def _wrong(self, form: dict[str, str], asked: dict[str, str] | None) -> str | None:
        basic = base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
        if self.headers.get("Authorization") != f"Basic {basic}":
            return "client"
        if asked is None or float(asked["until"]) < time.time():
            return "code"
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        if _plain(digest) != asked["code_challenge"]:
            return "verifier"
        return None if form.get("redirect_uri") == asked["redirect_uri"] else "redirect_uri"


@contextmanager
def provider() -> Iterator[Provider]:
    """It runs while it is used."""
    with Provider() as made:
        thread = threading.Thread(target=made.serve_forever, daemon=True)
        thread.start()
        try:
            yield made
        finally:
            made.shutdown()
            thread.join()
