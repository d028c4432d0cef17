"""The made keys: one pair however many race for it, private, and never replaced."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from outbox.datafolder import make_data_dir
from outbox.keyfile import KeyfileError, generated_keys, parse_keys, printed_keys


def test_printed_keys_are_read_again() -> None:
    keys = (bytes(range(32)), bytes(range(224, 256)))
    assert parse_keys(printed_keys(keys)) == keys


def test_all_who_race_get_the_same_keys(tmp_path: Path) -> None:
    folders = [tmp_path / str(n) for n in range(50)]
    with ThreadPoolExecutor(8) as threads:
        for folder in folders:
            made = set(threads.map(generated_keys, [folder] * 8))
            assert len(made) == 1
            assert [path.name for path in folder.iterdir()] == ["keys.env"]


def test_processes_that_race_get_the_same_keys(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    script = (
        "import sys; from pathlib import Path; from outbox.keyfile import generated_keys;"
        " sys.stdin.read(1); print(generated_keys(Path(sys.argv[1])))"
    )
    command = [sys.executable, "-c", script, str(folder)]
    racers = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("x")
        racer.stdin.flush()
    told = {racer.communicate(timeout=60)[0] for racer in racers}
    assert told == {f"{generated_keys(folder)}\n"}


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_a_file_that_others_may_use_is_refused(tmp_path: Path, mode: int) -> None:
    generated_keys(tmp_path)
    path = tmp_path / "keys.env"
    path.chmod(mode)
    with pytest.raises(KeyfileError, match="others may read") as caught:
        generated_keys(tmp_path)
    assert f"chmod 600 {path}" in caught.value.remedy


@pytest.mark.parametrize("content", ["", "PRUUF_KEYS=hushhush\n"])
def test_a_file_without_keys_is_refused_and_kept(tmp_path: Path, content: str) -> None:
    path = tmp_path / "keys.env"
    path.write_text(content)
    path.chmod(0o600)
    with pytest.raises(KeyfileError, match="PRUUF_KEYS") as caught:
        generated_keys(tmp_path)
    assert "hush" not in str(caught.value)
    assert path.read_text() == content


def test_no_new_keys_for_a_database_sealed_under_lost_ones(tmp_path: Path) -> None:
    (tmp_path / "postgres").mkdir()
    with pytest.raises(KeyfileError, match=r"keys\.env"):
        generated_keys(tmp_path)
    assert not (tmp_path / "keys.env").exists()


def test_a_place_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(KeyfileError, match="cannot be used"):
        generated_keys(tmp_path / "file" / "data")


def test_a_made_folder_is_as_narrow_as_can_be_and_an_old_one_stays(tmp_path: Path) -> None:
    old = tmp_path / "old"
    old.mkdir(mode=0o750)
    before = os.umask(0o077)
    try:
        make_data_dir(old / "data")
        make_data_dir(old)
    finally:
        os.umask(before)
    assert old.stat().st_mode & 0o777 == 0o750
    expected = 0o711 if os.geteuid() == 0 else 0o700
    assert (old / "data").stat().st_mode & 0o777 == expected
