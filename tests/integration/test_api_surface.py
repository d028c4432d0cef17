"""Every address: its methods, HEAD and OPTIONS, health and the pages that people read."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from litestar import Litestar
from litestar.testing import AsyncTestClient

from gateway import health
from gateway.app import create_app
from gateway.problems import KINDS
from outbox.settings import Settings

from .test_api_problems import assert_problem

_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}


async def description(client: AsyncTestClient[Litestar]) -> dict[str, Any]:
    answer = await client.get("/schema/openapi.json")
    assert answer.status_code == 200
    body: dict[str, Any] = answer.json()
    return body


async def test_every_address_names_its_methods(api: AsyncTestClient[Litestar]) -> None:
    paths = (await description(api))["paths"]
    assert len(paths) > 10
    for template, item in paths.items():
        path = re.sub(r"\{\w+\}", "x", template)
        methods = {method.upper() for method in item} | {"OPTIONS"}
        if "GET" in methods:
            methods.add("HEAD")
        allowed = await api.options(path)
        assert allowed.status_code == 204
        assert set(allowed.headers["allow"].split(", ")) == methods
        for method in _METHODS - methods:
            answer = await api.request(method, path)
            if method == "HEAD":
                assert answer.status_code == 405
                assert answer.content == b""
            else:
                assert_problem(answer, 405, "method-not-allowed")
            assert set(answer.headers["allow"].split(", ")) == methods


async def test_head_says_what_get_would(served: httpx.AsyncClient) -> None:
    for path in ("/healthz", "/readyz", "/v1/notifications", "/problems", "/schema", "/nowhere"):
        got, head = await served.get(path), await served.head(path)
        assert head.status_code == got.status_code
        assert head.content == b""
        for name in ("content-type", "content-length"):
            assert head.headers.get(name) == got.headers.get(name)
    # The connection is still in step.
    assert (await served.get("/healthz")).json()["alive"] is True
    figures = (await served.get("/metrics")).text
    assert 'method="HEAD",route="/healthz",status="200"} 1.0' in figures


async def test_head_needs_the_same_key(anonymous: AsyncTestClient[Litestar]) -> None:
    assert (await anonymous.head("/v1/notifications")).status_code == 401


async def test_alive_and_ready(anonymous: AsyncTestClient[Litestar]) -> None:
    assert (await anonymous.get("/healthz")).json() == {"alive": True}
    answer = await anonymous.get("/readyz")
    assert answer.status_code == 200
    ready = answer.json()
    assert ready.keys() >= {"ready", "degraded", "checks"}
    for check in ready["checks"]:
        assert check.keys() >= {"name", "ok", "detail"}
    # No relay runs here: it accepts, and says that something lags.
    assert (ready["ready"], ready["degraded"]) == (True, True)
    assert [check["name"] for check in ready["checks"] if not check["ok"]] == ["relays"]


async def test_not_ready_while_the_database_is_away(
    make_settings: Callable[[str], Settings],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(health, "_WITHIN_S", 1.0)
    away = make_settings("postgresql://pruuf@127.0.0.1:1/pruuf")
    async with AsyncTestClient(app=create_app(away)) as client:
        assert (await client.get("/healthz")).status_code == 200
        answer = await client.get("/readyz")
        assert answer.status_code == 503
        ready = answer.json()
        assert ready["ready"] is False
        assert not {check["name"]: check["ok"] for check in ready["checks"]}["database"]
        assert "127.0.0.1" not in answer.text


async def test_problem_pages_load_nothing_from_elsewhere(
    anonymous: AsyncTestClient[Litestar],
) -> None:
    for path in ("/problems", *(kind.type for kind in KINDS.values())):
        answer = await anonymous.get(path)
        assert answer.headers["content-security-policy"].startswith("default-src 'none'")
        assert "//" not in answer.text.replace("<!--", "")


async def test_the_description_loads_nothing_from_elsewhere(
    anonymous: AsyncTestClient[Litestar],
) -> None:
    page = await anonymous.get("/schema")
    assert page.headers["content-type"].startswith("text/html")
    addresses = re.findall(r'(?:src|href|spec-url)="([^"]*)"', page.text)
    assert sorted(addresses) == ["/schema/openapi.json", "/schema/rapidoc-min.js", "data:,"]
    script = await anonymous.get("/schema/rapidoc-min.js")
    assert script.headers["content-type"].startswith("text/javascript")
    assert len(script.content) > 100_000
