"""Settings of traces: OpenTelemetry's own names; without an endpoint nothing is traced."""

from __future__ import annotations

import re
from urllib.parse import unquote

from observability.exporting import TraceSettings
from outbox.setting_values import Reader

_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


def read_tracing(reader: Reader) -> TraceSettings | None:
    """Where spans go; null: nowhere."""
    endpoint = reader.address("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318")
    headers = _headers(reader, "OTEL_EXPORTER_OTLP_HEADERS")
    ratio = _ratio(reader, "OTEL_TRACES_SAMPLER_ARG")
    if endpoint is None:
        return None
    return TraceSettings(endpoint=endpoint, headers=headers, ratio=ratio)


def _headers(reader: Reader, name: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for pair in (reader.text(name) or "").split(","):
        if not pair.strip():
            continue
        key, equals, value = pair.strip().partition("=")
        value = unquote(value.strip())
        if not equals or not _HEADER.fullmatch(key.strip()) or not value.isprintable():
            reader.fail(name, "headers like api-key=4f2a,tenant=pruuf, percent-encoded")
            break
        found[key.strip().lower()] = value
    return found


def _ratio(reader: Reader, name: str) -> float:
    value = reader.text(name, "1.0") or "1.0"
    if not re.fullmatch(r"0(\.\d+)?|1(\.0+)?", value, re.ASCII):
        reader.fail(name, "a share of the traces between 0 and 1, like 0.05")
        return 1.0
    return float(value)
