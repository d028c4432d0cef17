"""Lines in and answers out: nothing is lost, doubled or out of order, and memory is bounded."""

from __future__ import annotations

import asyncio
import tempfile
from typing import NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.ndjson import Answers, Lines


def cut(pieces: list[bytes], longest: int = 1000) -> list[tuple[int, bytes | None]]:
    lines = Lines(longest=longest)
    return [line for piece in pieces for line in lines.feed(piece)] + list(lines.end())


@given(st.lists(st.binary(max_size=20)), st.integers(0, 12))
def test_how_a_stream_comes_makes_no_difference(pieces: list[bytes], longest: int) -> None:
    stream = b"".join(pieces)
    expected = [
        (number, None if len(line) > longest else line.strip())
        for number, line in enumerate(stream.split(b"\n"), 1)
        if len(line) > longest or line.strip()
    ]
    assert cut(pieces, longest) == expected
    assert cut([bytes([byte]) for byte in stream], longest) == expected


def test_empty_lines_count() -> None:
    assert cut([b"a\n\r\n \n", b"b\r\n"]) == [(1, b"a"), (4, b"b")]


def test_a_line_that_is_too_long_is_not_kept() -> None:
    lines = Lines(longest=10)
    for _ in range(1000):
        assert list(lines.feed(b"x" * 10)) == []
        assert len(lines._rest) <= 10
    assert list(lines.feed(b"\nnext\n")) == [(1, None), (2, b"next")]
    assert lines.following == 3


async def written(answers: Answers, pieces: list[bytes]) -> None:
    for piece in pieces:
        await answers.put(piece)
    await answers.end()


async def read(answers: Answers) -> bytes:
    told = b""
    while piece := await answers.get():
        told += piece
    return told


_PIECES = [f"{number}\n".encode() * 100 for number in range(500)]


async def test_who_reads_only_at_the_end_gets_everything_in_order() -> None:
    with Answers(in_memory=1000, on_disk=10_000_000) as answers:
        await written(answers, _PIECES)
        assert answers._waiting <= 1000
        assert await read(answers) == b"".join(_PIECES)
        assert await answers.get() == b""


async def test_who_reads_meanwhile_as_well() -> None:
    with Answers(in_memory=1000, on_disk=20_000) as answers:
        writing = asyncio.create_task(written(answers, _PIECES))
        assert await read(answers) == b"".join(_PIECES)
        await writing


async def test_the_writer_waits_when_there_is_no_room() -> None:
    with Answers(in_memory=1000, on_disk=20_000) as answers:
        writing = asyncio.create_task(written(answers, _PIECES))
        for _ in range(1000):
            await asyncio.sleep(0)
        assert not writing.done()
        assert answers._waiting <= 1000
        assert answers._on_file <= 20_000
        assert await read(answers) == b"".join(_PIECES)
        await writing


async def test_one_that_is_larger_than_the_bounds_passes() -> None:
    with Answers(in_memory=10, on_disk=10) as answers:
        writing = asyncio.create_task(written(answers, [b"x" * 100, b"y" * 100]))
        assert await read(answers) == b"x" * 100 + b"y" * 100
        await writing


async def test_without_a_place_for_files_the_writer_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(**_: object) -> NoReturn:
        raise OSError

    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    with Answers(in_memory=1000, on_disk=10_000_000) as answers:
        writing = asyncio.create_task(written(answers, _PIECES))
        assert await read(answers) == b"".join(_PIECES)
        await writing


async def test_the_file_goes_with_the_stream() -> None:
    with Answers(in_memory=10, on_disk=1000) as answers:
        await written(answers, [b"x" * 10, b"y" * 10])
        file = answers._file
        assert file is not None
    assert file.closed
