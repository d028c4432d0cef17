"""A deploy: the schema grows under the old processes, and old and new ones work side by side."""

from __future__ import annotations

import copy
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from gateway.cli.supervisor import Process, Supervisor
from gateway.demo.stack import free_port, wait_until_answers
from outbox.relay.process import DRAIN_S
from outbox.store.migrate import migrate, newest_revision
from tests.faults import previous
from tests.faults.balancer import Balancer
from tests.faults.conftest import Begin
from tests.faults.load import Load, loading, recover, settle_up
from tests.faults.stack import Stack, wait_for

_MORE = 15
"""Events that are accepted, and texts that are sent, before the deploy goes on."""


@pytest.fixture
def empty_database(template: str) -> Iterator[str]:
    """A database with nothing in it."""
    name = sql.Identifier(f"test_{uuid.uuid4().hex[:12]}")
    with psycopg.connect(template, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(name))
        yield template.rpartition("/")[0] + "/" + name.as_string().strip('"')
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))


class _Deploy:
    """Processes of either version, on one database."""

    def __init__(self, stack: Stack, balancer: Balancer, old_code: Path) -> None:
        self.stack = stack
        self.balancer = balancer
        self._old_code = str(old_code)
        stack.gateway = stack.environ["PRUUF_PUBLIC_URL"] = balancer.url
        self.new_environ = dict(stack.environ)

    def _version(self, *, old: bool) -> None:
        self.stack.environ = dict(self.new_environ)
        if old:
            self.stack.environ["PYTHONPATH"] = self._old_code

    def gateway(self, name: str, port: int, *, old: bool) -> Process:
        self._version(old=old)
        self.stack.environ["PRUUF_PORT"] = str(port)
        process = self.stack.start(name, "gateway")
        wait_until_answers(f"http://127.0.0.1:{port}/readyz", process, self.stack.folder)
        return process

    def relay(self, name: str, *, old: bool) -> Process:
        self._version(old=old)
        return self.stack.start_relay(name)

    def more(self, *loads: Load) -> None:
        """Wait until all that is up has accepted and sent more."""
        sent = len(self.stack.entries("twilio"))
        for load in loads:
            wanted = len(load.accepted) + _MORE
            wait_for(lambda n=wanted, of=load: len(of.accepted) >= n, within_s=60, what="202s")  # type: ignore[misc]
        wait_for(
            lambda: len(self.stack.entries("twilio")) >= sent + _MORE, within_s=60, what="texts"
        )


def _ends(process: Process) -> float:
    began = time.monotonic()
    process.terminate()
    assert process.wait(DRAIN_S + 10.0) == 0, f"{process.name} did not end in order"
    return time.monotonic() - began


@pytest.mark.faults
def test_old_and_new_processes_work_side_by_side_on_the_schema_that_grew_under_them(
    tmp_path: Path, empty_database: str, scenario: Begin
) -> None:
    row = scenario(number=1, name=f"deploy from revision {previous.revision()}, side by side")
    row.why = "tries: the migration, each start and each end; recovery: the longest drain"
    old_code = previous.unpack(tmp_path / "old")
    with Supervisor() as children, Balancer() as balancer:
        previous.migrate(old_code, empty_database)
        stack = Stack(tmp_path, empty_database, children)
        deploy = _Deploy(stack, balancer, old_code)
        simulators = stack.start_simulators()
        old_port, new_port = free_port(0), free_port(0)
        old_gateway = deploy.gateway("old-gateway", old_port, old=True)
        old_relay = deploy.relay("old-relay", old=True)
        wait_until_answers(f"{stack.simulators}/_sim/health", simulators, tmp_path)
        balancer.ports = [old_port]
        with loading(stack, "first", writers=3) as load:
            load.pause_s = 0.05
            deploy.more(load)
            assert migrate(empty_database) == newest_revision() != previous.revision()
            deploy.more(load)
            # One that starts anew, as after a crash, finds a schema that is newer than itself.
            row.recovered_s = _ends(old_relay)
            old_relay = deploy.relay("old-relay-2", old=True)
            new_gateway = deploy.gateway("new-gateway", new_port, old=False)
            new_relay = deploy.relay("new-relay", old=False)
            balancer.ports = [old_port, new_port]
            direct = copy.copy(stack)
            direct.gateway = f"http://127.0.0.1:{new_port}"
            with loading(direct, "second", writers=3) as other:
                other.pause_s = 0.05
                deploy.more(load, other)
                balancer.ports = [new_port]
                row.recovered_s = max(row.recovered_s, _ends(old_gateway), _ends(old_relay))
                deploy.more(load, other)
        # A gateway that ends closes connections that are kept alive; who was about to use one of
        # them posts the same event again.
        for each in (load, other):
            each.wrong = [said for said in each.wrong if said != "no answer: closed"]
        row.tries = 7
        recover(stack, within_s=60)
        settle_up(stack, load, row)
        settle_up(stack, other, row)
        assert stack.start("audit", "audit").wait(60) == 0, (tmp_path / "audit.log").read_text()
        assert _ends(new_relay) + _ends(new_gateway) < 2 * DRAIN_S
