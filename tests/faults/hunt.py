"""The hunt: values that nobody may emit, in each form that they could hide in, in all that came."""

from __future__ import annotations

import re
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterator, Mapping
from urllib.parse import quote, quote_plus


def forms(value: str) -> dict[str, bytes]:
    """How a value may be written, by the name of the form."""
    made = {
        "plain": value,
        "urlencoded": quote(value, safe=""),
        "form": quote_plus(value),
        "json": value.encode("unicode_escape").decode(),
        "hex": value.encode().hex(),
    }
    if re.fullmatch(r"\+1\d{10}", value):
        area, office, line = value[2:5], value[5:8], value[8:]
        made |= {
            "without plus": value[1:],
            "national": value[2:],
            "formatted": f"({area}) {office}-{line}",
            "dashes": f"{area}-{office}-{line}",
            "dots": f"{area}.{office}.{line}",
            "blanks": f"{area} {office} {line}",
        }
    found = {name: text.encode() for name, text in made.items()}
    for name, text in (("base64", value), ("base64 without plus", value.removeprefix("+"))):
        for shift, encoded in enumerate(_in_base64(text.encode())):
            found[f"{name} {shift}"] = encoded
            found[f"{name} {shift}, safe for URLs"] = encoded.translate(_URL_SAFE)
    return found


_URL_SAFE = bytes.maketrans(b"+/", b"-_")


def _in_base64(raw: bytes) -> Iterator[bytes]:
    """What is the same of it wherever it begins in what is encoded."""
    for shift, cut in ((0, 0), (1, 2), (2, 3)):
        encoded = b64encode(b"\0" * shift + raw)
        whole = (shift + len(raw)) // 3 * 4
        yield encoded[cut:whole]


def is_code(value: str) -> bool:
    """A few digits: only alone they are a code, and not a part of some figure."""
    return value.isdigit() and len(value) < 8


def hunt(planted: Mapping[str, str], emitted: Mapping[str, bytes]) -> dict[str, list[str]]:
    """What was found, by the value's name: where, in which form, and what stands around it."""
    found: dict[str, list[str]] = {}
    for name, value in planted.items():
        wanted = {"plain": value.encode()} if is_code(value) else forms(value)
        for place, text in emitted.items():
            for form, needle in wanted.items():
                edge = rb"(?<![0-9a-zA-Z.])%s(?![0-9a-zA-Z])" if is_code(value) else rb"%s"
                match = re.search(edge % re.escape(needle), text)
                if match is not None:
                    near = text[max(0, match.start() - 60) : match.end() + 30]
                    found.setdefault(name, []).append(f"{place}, {form}: {near!r}")
    return found


def encoded_key(raw: bytes) -> str:
    """A key as the settings take it."""
    return urlsafe_b64encode(raw).decode()
