"""One missed check-in through all spans of real processes, with the right parents and links."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.cli.supervisor import Process, Supervisor
from observability.signals import ATTRIBUTES
from tests.faults.stack import Stack, day, wait_for
from tests.integration.collector import Collector, Seen, collecting

_CALLER = "4bf92f3577b34da6a3ce929d0e0e4736"
_HEADERS = {
    "Content-Type": "application/json",
    "traceparent": f"00-{_CALLER}-00f067aa0ba902b7-00",
    "tracestate": "vendor=t61",
}
_SERVER, _CLIENT, _CONSUMER, _INTERNAL = 2, 3, 5, 1
"""Kinds as the protocol numbers them."""


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as made:
        yield made


@pytest.fixture
def stack(tmp_path: Path, database_url: str) -> Iterator[Stack]:
    with Supervisor() as children:
        yield Stack(tmp_path, database_url, children)


def _post(stack: Stack, event: object) -> dict[str, Any]:
    request = urllib.request.Request(
        f"{stack.gateway}/v1/events",
        data=json.dumps(event).encode(),
        headers={**_HEADERS, "Authorization": f"Bearer {stack.key}"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        made: dict[str, Any] = json.load(answer)
    return made


def _figures(stack: Stack, metrics_port: str) -> list[str]:
    """Of gateway and relay, as OpenMetrics."""
    told = []
    for base in (stack.gateway, f"http://127.0.0.1:{metrics_port}"):
        request = urllib.request.Request(
            f"{base}/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"}
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            assert answer.headers["content-type"].startswith("application/openmetrics-text")
            told.append(answer.read().decode())
        assert told[-1].endswith("# EOF\n")
    return told


def _get(stack: Stack, path: str) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {stack.key}"}
    request = urllib.request.Request(f"{stack.gateway}{path}", headers=headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        found: dict[str, Any] = json.load(answer)
    return found


def _logged(process: Process, event: str) -> dict[str, Any]:
    """The one line of this wide event."""
    log = Path(process.child.log or "").read_text().splitlines()
    lines = [json.loads(line) for line in log if line.startswith("{")]
    [found] = [line for line in lines if line["event"] == event]
    told: dict[str, Any] = found
    return told


def _exemplar(figures: str, metric: str, span: Seen) -> str:
    """The bucket of a duration that was taken from a span."""
    lines = [line for line in figures.splitlines() if line.startswith(f"{metric}_bucket")]
    [line] = [line for line in lines if f'span_id="{span.span}"' in line]
    assert f'trace_id="{span.trace}"' in line
    return line


def _heard(spans: list[Seen], post: Seen) -> None:
    """What was heard belongs to the event's trace, and names the request that brought it."""
    receipts = [each for each in _within(spans, post) if each.name == "process inbox"]
    assert {each.attributes["pruuf.status"] for each in receipts} >= {"sent", "delivered"}
    webhooks = {
        (each.trace, each.span): each
        for each in spans
        if each.name == "POST /webhooks/twilio/status"
    }
    for receipt in receipts:
        assert webhooks[receipt.links[0]].trace != post.trace


def _within(spans: list[Seen], outer: Seen) -> list[Seen]:
    return [each for each in spans if (each.trace, each.parent) == (outer.trace, outer.span)]


def test_one_alert_from_the_post_to_its_receipt(stack: Stack, collector: Collector) -> None:
    stack.environ |= {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint,
        "OTEL_EXPORTER_OTLP_HEADERS": "api-key=s3cret",
        # Neither the caller nor we sample it: what is about safety is kept all the same.
        "OTEL_TRACES_SAMPLER_ARG": "0",
    }
    edge = stack.start_edge()
    relay = stack.start_relay("relay")
    [event] = day("t", 1, alerts_per_hundred=100)
    made = _post(stack, event)
    stack.wait_until_final(within_s=60)
    wait_for(
        lambda: len(collector.named("process inbox")) > 1, within_s=30, what="receipts are traced"
    )
    told = made["notifications"][0]
    assert _get(stack, f"/v1/notifications/{told['id']}")["trace_id"] == _CALLER
    assert _get(stack, f"/v1/events/{made['event_id']}")["trace_id"] == _CALLER
    figures = _figures(stack, relay.child.environ["PRUUF_RELAY_METRICS_PORT"])
    for process in (relay, edge[1]):
        process.terminate()
        assert process.wait() == 0

    spans = collector.spans
    assert {"api-key": "s3cret"}.items() <= collector.headers[0].items()
    [post] = [each for each in spans if each.name == "POST /v1/events"]
    assert (post.service, post.kind) == ("pruuf-gateway", _SERVER)
    assert (post.trace, post.parent, post.state) == (_CALLER, "00f067aa0ba902b7", "vendor=t61")
    assert post.attributes["http.response.status_code"] == 202
    [commit] = [each for each in spans if each.name == "COMMIT intake"]
    assert commit.trace != post.trace
    assert commit.links == ((post.trace, post.span),)
    assert (commit.trace, commit.span) in post.links

    [work] = [each for each in _within(spans, post) if each.name == "process safety"]
    assert (work.service, work.kind) == ("pruuf-relay", _CONSUMER)
    assert work.attributes["messaging.message.id"] == told["id"]
    assert work.attributes["pruuf.event_id"] == made["event_id"]
    around = {"receive safety", "settle safety"}
    batches = [
        each for each in spans if each.name in around and (work.trace, work.span) in each.links
    ]
    assert {each.name for each in batches} == around
    assert {(each.trace, each.span) for each in batches} <= set(work.links)
    [call] = _within(spans, work)
    assert (call.name, call.kind) == ("sms.send", _INTERNAL)
    assert call.attributes["pruuf.result"] == "accepted"
    [http] = _within(spans, call)
    assert (http.name, http.kind) == ("POST", _CLIENT)
    assert http.attributes["http.response.status_code"] == 201
    assert http.attributes["url.full"] == f"{stack.simulators}/REDACTED"
    assert work.start_ns <= call.start_ns <= http.start_ns <= http.end_ns <= work.end_ns

    # A duration names the trace that it was taken from.
    assert "/v1/events" in _exemplar(figures[0], "pruuf_http_request_seconds", post)
    assert "twilio" in _exemplar(figures[1], "pruuf_attempt_seconds", work)
    assert "safety" in _exemplar(figures[1], "pruuf_first_call_seconds", work)
    _heard(spans, post)

    stored = stack.query("SELECT traceparent, tracestate FROM event")
    assert stored == [(f"00-{_CALLER}-{post.span}-01", "vendor=t61")]
    # The wide event of the call names the same span.
    sent = _logged(relay, "sms.send")
    assert (sent["trace_id"], sent["span_id"]) == (_CALLER, call.span)
    assert sent["notification_id"] == told["id"]
    assert {name for span in spans for name in span.attributes} <= set(ATTRIBUTES)
