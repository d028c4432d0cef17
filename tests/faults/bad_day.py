"""A bad day: all that is told of people goes in, everything fails, and what comes out is kept."""

from __future__ import annotations

import json
import os
import pty
import secrets
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from tests.faults.hunt import encoded_key
from tests.faults.stack import Stack, wait_for
from tests.faults.told import CRASH, DEVICES, EVENTS, LATER, SAID, TOLD
from tests.integration.collector import Collector


class BadDay:
    """One stack with planted values, and what it emitted."""

    def __init__(self, stack: Stack, collector: Collector) -> None:
        """Plant what the settings hold; the rest is posted later."""
        self.stack = stack
        self._collector = collector
        self._answers: list[bytes] = []
        self._queries: set[str] = set()
        self._terminal = bytearray()
        account = json.loads(Path(stack.environ["GOOGLE_APPLICATION_CREDENTIALS"]).read_text())
        self.planted = {
            **TOLD,
            "API key": stack.key,
            "Twilio's token": stack.environ["TWILIO_AUTH_TOKEN"],
            "Stripe's key": stack.environ["STRIPE_API_KEY"],
            "Stripe's secret": stack.environ["STRIPE_WEBHOOK_SECRETS"],
            "sealing key": encoded_key(secrets.token_bytes(32)),
            "look-up key": encoded_key(secrets.token_bytes(32)),
            "Firebase's key": account["private_key"].splitlines()[7],
            "operator's address": "pl4nted-hook-5f2c",
            "mail server's password": "smtp-pl4nted-77",
            "database's password": "db-pl4nted-88",
            "collector's key": "otlp-pl4nted-99",
        }
        hook, mail = self.planted["operator's address"], self.planted["mail server's password"]
        collecting = self.planted["collector's key"]
        given = psycopg.conninfo.conninfo_to_dict(stack.database_url)
        rest = "&".join(f"{k}={v}" for k, v in given.items() if k not in {"user", "dbname"})
        password = self.planted["database's password"]
        stack.environ |= {
            "PRUUF_KEYS": self.planted["sealing key"],
            "PRUUF_LOOKUP_KEYS": self.planted["look-up key"],
            "PRUUF_OPERATOR_WEBHOOK": f"{stack.simulators}/_sim/operator?token={hook}",
            "PRUUF_OPERATOR_SMTP": f"smtp://us:{mail}@127.0.0.1:9/?from=a@b.example&to=c@b.example",
            "DATABASE_URL": f"postgresql://{given['user']}:{password}@/{given['dbname']}?{rest}",
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint,
            "OTEL_EXPORTER_OTLP_HEADERS": f"api-key={collecting}",
        }

    def play(self) -> dict[str, bytes]:
        """Live through it; all that was emitted, by place."""
        before = self._server_log()
        self.stack.start_edge()
        self._accepted()
        self._poison()
        # One relay writes lines for machines into a file, the other one readable ones.
        relay = self.stack.start_relay("relay")
        with self._on_a_terminal():
            self._refused()
            self._away()
            self._until_all_was_tried()
            figures = self._figures(relay.child.environ["PRUUF_RELAY_METRICS_PORT"])
        return {
            **{path.name: path.read_bytes() for path in self.stack.folder.glob("*.log")},
            "terminal": bytes(self._terminal),
            "crash": self._crashed(),
            "doctor": self._doctor(),
            "figures": figures,
            "answers": b"\n".join(self._answers),
            "pages": json.dumps(self.stack.entries("operator")).encode(),
            "spans": b"\n".join(self._collector.bodies),
            "statements": "\n".join(self._queries).encode(),
            "server's log": self._server_log()[len(before) :],
        }

    def _ask(self, method: str, path: str, body: object = None, **headers: str) -> bytes:
        """One request; what is no success is kept, with its headers."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        given = {"Authorization": f"Bearer {self.stack.key}", "Content-Type": "application/json"}
        request = urllib.request.Request(
            f"{self.stack.gateway}{path}",
            data=None if body is None else raw,
            method=method,
            headers=given | {name.replace("_", "-"): value for name, value in headers.items()},
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return bytes(answer.read())
        except urllib.error.HTTPError as error:
            self._answers.append(str(error.headers).encode() + error.read())
            return b""
        finally:
            self._queries |= {
                row[0]
                for row in self.stack.query(
                    "SELECT query FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
            }

    def _accepted(self) -> None:
        for recipient, device in DEVICES.items():
            body = {"token": device, "address_kind": "fid", "platform": "ios"}
            self._ask("PUT", f"/v1/recipients/{recipient}/devices/phone", body)
        for event in EVENTS:
            assert self._ask("POST", "/v1/events", event), event["type"]
        self._ask(
            "POST", "/v1/events", {**EVENTS[0], "data": {**EVENTS[0]["data"], "due_at": LATER}}
        )
        told = json.loads(
            self._ask("POST", "/v1/verifications", {"phone": TOLD["number for a code"]})
        )
        self._ask("POST", f"/v1/verifications/{told['id']}/check", {"code": "000000"})

    def _poison(self) -> None:
        """Rows that our own code cannot carry out, one of them with a text that it will meet."""
        name = TOLD["contact's name"]
        with psycopg.connect(self.stack.database_url, autocommit=True) as owner:
            owner.execute(
                "UPDATE notification SET content = %s WHERE kind = 'member.invited'",
                (name.encode(),),
            )
            owner.execute(
                "UPDATE notification SET template = %s WHERE kind = 'announcement.published'",
                (name,),
            )

    def _refused(self) -> None:
        """Everything that is wrong, each with something that must not come back."""
        phone, name = TOLD["member's number"], TOLD["member's name"]
        event = EVENTS[1]
        wrong: tuple[dict[str, object], ...] = (
            {"locale": phone},
            {"timezone": name},
            {name: 1},
            {"phone": f"{phone}x"},
            {"id": 5},
        )
        for index, more in enumerate(wrong):
            told = {**event["data"], "contacts": [{"id": "c9", "phone": phone, **more}]}
            self._ask("POST", "/v1/events", {**event, "id": f"w{index}", "data": told})
        self._ask("POST", "/v1/events", f'{{"id": "{name}", "phone": {phone}'.encode())
        self._ask("POST", "/v1/events", event, Content_Type=f"text/{name.split()[0]}")
        wrong_key = f"Bearer {TOLD['wrong API key']}"
        self._ask("POST", "/v1/events", event, Authorization=wrong_key)
        self._ask("GET", f"/v1/recipients/{phone}", Authorization=wrong_key)
        for path in (f"/v1/recipients/{phone}", f"/nowhere/{phone}", f"/v1/notifications/{phone}"):
            self._ask("GET", path)
        for query in (f"phone={phone}", f"limit={phone}", f"cursor={phone}", f"kind={phone}"):
            self._ask("GET", f"/v1/notifications?{query.replace('+', '%2B')}")
        self._ask("POST", "/v1/verifications", {"phone": f"{phone}0"})
        form = f"From={phone}&Body={name}&MessageSid=SM1&MessageStatus=x".replace("+", "%2B")
        for path in ("status", "inbound"):
            kind = "application/x-www-form-urlencoded"
            forged = self.stack.environ["TWILIO_AUTH_TOKEN"]
            self._ask(
                "POST",
                f"/webhooks/twilio/{path}?ref={phone}",
                form.replace(" ", "+").encode(),
                Content_Type=kind,
                X_Twilio_Signature=forged,
            )
        mail = {"object": "event", "data": {"email": TOLD["mail address"]}}
        self._ask("POST", "/webhooks/stripe", mail, Stripe_Signature=f"t=1,v1={name}")
        token = {"receipt_token": TOLD["token that works"], "event": "opened"}
        self._ask("POST", "/v1/receipts/push", token)
        assert len(self._answers) >= 20

    def _away(self) -> None:
        """The database is away, and comes back."""
        name = psycopg.conninfo.conninfo_to_dict(self.stack.database_url)["dbname"]
        other = self.stack.database_url.replace(f"/{name}", "/postgres")
        with psycopg.connect(other, autocommit=True) as owner:
            allowing = sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}")
            database = sql.Identifier(str(name))
            owner.execute(allowing.format(database, sql.SQL("false")))
            owner.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,)
            )
            try:
                body = json.dumps({**EVENTS[1], "id": "away"}).encode()
                request = urllib.request.Request(
                    f"{self.stack.gateway}/v1/events",
                    data=body,
                    headers={
                        "Authorization": f"Bearer {self.stack.key}",
                        "Content-Type": "application/json",
                    },
                )
                with pytest.raises(urllib.error.HTTPError) as refused:
                    urllib.request.urlopen(request, timeout=40)
                assert refused.value.code == 503
                self._answers.append(refused.value.read())
            finally:
                owner.execute(allowing.format(database, sql.SQL("true")))

    def _until_all_was_tried(self) -> None:
        """Every provider was called, each device too, and our own code failed."""
        wait_for(self._was_tried, within_s=60, what=f"all of {SAID}")
        text = next(
            e["text"] for e in self.stack.entries("twilio") if e["to"] == TOLD["number for a code"]
        )
        self.planted["one-time code"] = "".join(filter(str.isdigit, text))[:6]

    def _was_tried(self) -> bool:
        lines = (self.stack.folder / "relay.log").read_bytes() + self._terminal
        if b"connected to the database again" not in self._terminal:
            return False
        return lines.count(b"push.send") >= len(DEVICES) and all(word in lines for word in SAID)

    def _figures(self, port: str) -> bytes:
        found = b""
        for base in (self.stack.gateway, f"http://127.0.0.1:{port}"):
            for accept in ("text/plain", "application/openmetrics-text"):
                request = urllib.request.Request(f"{base}/metrics", headers={"Accept": accept})
                with urllib.request.urlopen(request, timeout=30) as answer:
                    found += answer.read()
        return found

    @contextmanager
    def _on_a_terminal(self) -> Iterator[None]:
        """Another relay, whose log is a terminal."""
        master, slave = pty.openpty()
        command = [sys.executable, "-m", self.stack.module, "relay"]
        environ = {**self.stack.environ, "PRUUF_RELAY_METRICS_PORT": "0"}
        process = subprocess.Popen(
            command, stdout=slave, stderr=slave, env=environ, cwd=self.stack.folder
        )
        os.close(slave)
        reading = threading.Thread(target=self._read, args=(master,))
        reading.start()
        wait_for(lambda: b"relay works" in self._terminal, within_s=60, what="the other relay")
        try:
            yield
        finally:
            process.terminate()
            process.wait(60)
            reading.join(10)
            os.close(master)

    def _read(self, master: int) -> None:
        # Linux says EIO where the other end is closed.
        with suppress(OSError):
            while chunk := os.read(master, 65_536):
                self._terminal.extend(chunk)

    def _crashed(self) -> bytes:
        """What a process says that ends, and whose thread and task do, by what nobody caught."""
        environ = {**self.stack.environ, "PLANTED": " ".join(self.planted.values())}
        command = [sys.executable, "-c", CRASH]
        ended = subprocess.run(command, env=environ, capture_output=True, check=False)
        assert ended.returncode == 1
        assert b"nobody caught RuntimeError" in ended.stderr
        return ended.stdout + ended.stderr

    def _doctor(self) -> bytes:
        """Settings, and what is wrong with them."""
        command = [sys.executable, "-m", self.stack.module, "doctor", "--json"]
        ended = subprocess.run(
            command, env=self.stack.environ, cwd=self.stack.folder, capture_output=True, check=False
        )
        return ended.stdout + ended.stderr

    def _server_log(self) -> bytes:
        """What Postgres wrote so far; it runs on this machine."""
        with psycopg.connect(self.stack.database_url) as owner:
            log = Path(f"/proc/{owner.info.backend_pid}/fd/2").resolve()
            return log.read_bytes() if log.is_file() else b""
