"""Made-up requests of every kind, by the API's own description, against every operation.

None may fail, none may be answered in another way than described, and what the description
forbids must be refused: unknown fields, for one.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import MakeKey

_HERE = Path(__file__).parent


@pytest.mark.newest
def test_no_request_is_answered_in_another_way_than_described(
    gateway_url: str, make_key: MakeKey, tmp_path: Path
) -> None:
    run = subprocess.run(
        [
            *(sys.executable, "-W", "error", "-m", "schemathesis.cli"),
            *("--config-file", _HERE / "schemathesis.toml", "--no-color", "run"),
            f"{gateway_url}/schema/openapi.json",
            *("--header", f"Authorization: {make_key()}"),
            # The first two go through the whole description, the third is chance: the same always.
            *("--phases", "examples,coverage,fuzzing"),
            *("--max-examples", "30", "--seed", "1", "--continue-on-failure"),
        ],
        cwd=tmp_path,
        env={
            **os.environ,
            "PYTHONPATH": str(_HERE.parents[1]),
            "SCHEMATHESIS_HOOKS": "tests.integration.schemathesis_hooks",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=600,
        check=False,
    )
    assert run.returncode == 0, run.stdout
    selected = re.search(r"Selected: (\d+)/(\d+)", run.stdout)
    assert selected is not None
    assert selected[1] == selected[2]
    cases = re.search(r"(\d+) generated", run.stdout)
    assert cases is not None
    assert int(cases[1]) > 1000
