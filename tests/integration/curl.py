"""Runs the curl commands that people are shown; a machine without curl can test them too."""

from __future__ import annotations

import json
import shlex
import urllib.request
from typing import Any


def run(command: str) -> Any:  # noqa: ANN401 - any JSON
    """The decoded answer of one command; raises `HTTPError` unless it is a success.

    Understands what is shown: an address, -s, -X, -H and -d.
    """
    words = iter(shlex.split(command.replace("\\\n", " ")))
    assert next(words) == "curl"
    request = urllib.request.Request("http://127.0.0.1")
    for word in words:
        match word:
            case "-s":
                pass
            case "-X":
                request.method = next(words)
            case "-H":
                name, _, value = next(words).partition(": ")
                request.add_header(name, value)
            case "-d":
                request.data = next(words).encode()
            case _:
                assert word.startswith("http://127.0.0.1:"), word
                request.full_url = word
    with urllib.request.urlopen(request, timeout=30) as answer:
        content = answer.read()
    return json.loads(content) if content else None
