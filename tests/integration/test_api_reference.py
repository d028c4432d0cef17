"""The reference page of the API: its tables follow from the code, and its examples work."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.api_page import PAGE, refreshed
from outbox.domain.ids import new_id
from outbox.domain.references import Purpose, Reference, ReferenceSigner
from outbox.settings import Settings

from .codes import Outbox
from .conftest import MakeKey, confirmed, missed, rows

_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_RUN = {
    "bash": ("bash", "-euo", "pipefail"),
    "python": (sys.executable, "-W", "error"),
    "typescript": ("node",),
}
_SUFFIX = {"bash": ".sh", "python": ".py", "typescript": ".mjs"}


def examples() -> Iterator[tuple[str, str, str]]:
    """Section, language and text of each example of the page."""
    for section in re.split(r"^## ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
        for language, text in re.findall(
            r"^```(\w+)\n(.*?)^```$", section, re.DOTALL | re.MULTILINE
        ):
            yield section.partition("\n")[0], language, text


def example(section: str, language: str) -> str:
    [text] = [text for name, kind, text in examples() if (name, kind) == (section, language)]
    return text


class Reader:
    """Somebody who copies the examples of one language."""

    def __init__(self, language: str, folder: Path, **environment: str) -> None:
        self._language = language
        self._folder = folder
        self._environment = environment

    def runs(self, section: str, *, fails: bool = False, **environment: str) -> str:
        """What an example prints."""
        file = self._folder / f"example{_SUFFIX[self._language]}"
        file.write_text(example(section, self._language), encoding="utf-8")
        run = subprocess.run(
            [*_RUN[self._language], file],
            cwd=self._folder,
            env={**os.environ, **self._environment, **environment},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert (run.returncode != 0) is fails, run.stdout + run.stderr
        return run.stdout


def test_its_tables_follow_from_the_code() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page == refreshed(page), "write it anew: python -m gateway.api_page"


def test_every_task_is_shown_in_every_language() -> None:
    shown: dict[str, list[str]] = {}
    for section, language, _ in examples():
        shown.setdefault(section, []).append(language)
    assert shown.pop("Many events") == ["bash"]
    tasks = (
        "Post an event",
        "Read a notification",
        "Register a device",
        "Acknowledge a push",
        "Ask for a code",
        "Check a code",
    )
    assert shown == {task: list(_RUN) for task in tasks}


@pytest.mark.newest
@pytest.mark.parametrize("language", _RUN)
def test_the_examples_work(  # noqa: PLR0917 - fixtures
    language: str,
    gateway_url: str,
    make_key: MakeKey,
    settings: Settings,
    database_url: str,
    tmp_path: Path,
) -> None:
    for tool in {"bash": ("bash", "curl"), "typescript": ("node",)}.get(language, ()):
        if shutil.which(tool) is None:
            package = {"node": "nodejs"}.get(tool, tool)
            pytest.skip(f"{tool} is missing: apt-get install {package}")
    key = make_key().removeprefix("Bearer ")
    reader = Reader(language, tmp_path, PRUUF_URL=gateway_url, PRUUF_API_KEY=key)

    told = reader.runs("Post an event")
    [(notification,)] = rows(database_url, "SELECT id::text FROM notification")
    assert notification in _ID.findall(told)
    assert reader.runs("Post an event").replace("true", "false") == told
    told = reader.runs("Read a notification", NOTIFICATION_ID=notification)
    assert "pending" in told
    assert "from pruuf-backend (evt-1001)" in told
    reader.runs("Register a device")
    assert rows(database_url, "SELECT recipient, id FROM device") == [("c_1", "d_1")]
    token = ReferenceSigner(settings.keys).sign(
        Reference(
            purpose=Purpose.PUSH_RECEIPT,
            notification=new_id(3),
            step=1,
            fence=1,
            lane=0,
        ),
    )
    reader.runs("Acknowledge a push", RECEIPT_TOKEN=token)
    assert rows(database_url, "SELECT provider FROM inbox") == [("app",)]

    told = reader.runs("Ask for a code")
    [verification] = _ID.findall(told)
    code = Outbox(settings).code(verification)
    told = reader.runs("Check a code", VERIFICATION_ID=verification, CODE=code)
    assert "approved" in told

    # What fails says so.
    reader.runs("Ask for a code", fails=True, PRUUF_API_KEY="")
    reader.runs("Check a code", fails=True, VERIFICATION_ID=verification, CODE="abc")
    reader.runs("Post an event", fails=True, PRUUF_API_KEY=key[:-1] + "x")
    reader.runs("Read a notification", fails=True, NOTIFICATION_ID=str(new_id(1)))
    reader.runs("Register a device", fails=True, PRUUF_API_KEY="")
    reader.runs("Acknowledge a push", fails=True, RECEIPT_TOKEN=token[:-2])


def test_a_file_of_events_is_streamed(gateway_url: str, make_key: MakeKey, tmp_path: Path) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is missing: apt-get install curl")
    events = [json.dumps(each) for each in (missed(), confirmed(), {})]
    (tmp_path / "events.ndjson").write_text("\n".join(events))
    key = make_key().removeprefix("Bearer ")
    reader = Reader("bash", tmp_path, PRUUF_URL=gateway_url, PRUUF_API_KEY=key)
    answers = [json.loads(line) for line in reader.runs("Many events").splitlines()]
    assert [each.get("status") for each in answers] == [None, None, 400]
