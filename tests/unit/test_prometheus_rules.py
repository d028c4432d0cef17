"""Prometheus' rules are what the definitions say; each alert fires, and not on the near miss."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from observability import rules
from observability.slos import definitions
from tests.unit.prometheus_cases import (
    Case,
    any_bad_cases,
    burn_cases,
    condition_cases,
)

_GROUPS = ("pruuf-objectives", "pruuf-burn-rates", "pruuf-low-traffic")
_RULES = ("objectives.rules.yml", "low_traffic.rules.yml")


def _promtool(*arguments: str, cwd: Path) -> str:
    if shutil.which("promtool") is None:
        pytest.skip("promtool is missing: apt-get install prometheus")
    run = subprocess.run(
        ["promtool", *arguments], cwd=cwd, capture_output=True, text=True, timeout=120, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


_RULE = re.compile(
    r'alert: "(\w+)".*?severity: "(\w+)".*?summary: "([^"]+)".*?runbook_url: "([^"]+)"', re.DOTALL
)


def _told(text: str) -> Mapping[str, tuple[str, str, str]]:
    """Severity, title and runbook of each alert, as committed."""
    return {
        name: (severity, title, runbook) for name, severity, title, runbook in _RULE.findall(text)
    }


def test_what_is_committed_is_what_the_definitions_say() -> None:
    for name, text in rules.files(definitions()).items():
        committed = (rules.FOLDER / name).read_text(encoding="utf-8")
        assert committed == text, "write them anew: python -m observability.rules"


def test_promtool_takes_the_rules_and_the_configuration() -> None:
    _promtool("check", "rules", *_RULES, cwd=rules.FOLDER)
    _promtool("check", "config", "--syntax-only", "prometheus.yml", cwd=rules.FOLDER)


def _cases() -> list[Case]:
    defined = definitions()
    burns = [case for burn in defined.burn for case in burn_cases(defined, burn)]
    return [*burns, *any_bad_cases(defined), *condition_cases(defined)]


def test_every_alert_has_a_case_that_fires_and_one_that_does_not() -> None:
    for fires in (True, False):
        seen = {
            alert
            for case in _cases()
            for alert, labels in case.expected.items()
            if (labels is not None) is fires
        }
        assert seen == set(definitions().alerts)


def test_every_alert_fires_and_does_not_on_the_near_miss(tmp_path: Path) -> None:
    # What the value is, is not tested: it would be compared as text.
    text = "".join((rules.FOLDER / name).read_text(encoding="utf-8") for name in _RULES)
    plain = re.sub(r"\n +description: .*", "", text)
    plain = plain.replace("groups:\n", "").replace("    interval: 30s\n", "")
    (tmp_path / "rules.yml").write_text("groups:\n" + plain, encoding="utf-8")
    files = []
    for interval in sorted({case.interval_s for case in _cases()}):
        cases = [case.text(_told(text)) for case in _cases() if case.interval_s == interval]
        head = (
            # Else promtool evaluates alerts before what they are about, now and then.
            f"rule_files: [rules.yml]\ngroup_eval_order: [{', '.join(_GROUPS)}]\n"
            f"evaluation_interval: {rules.span(interval)}\ntests:\n"
        )
        file = tmp_path / f"every_{interval}.yml"
        file.write_text(head + "\n".join(cases) + "\n", encoding="utf-8")
        files.append(file.name)
    _promtool("test", "rules", *files, cwd=tmp_path)


def test_every_alert_is_routed_and_what_follows_is_not_told_twice() -> None:
    text = (rules.FOLDER / "alertmanager.yml").read_text(encoding="utf-8")
    assert "severity = page" in text
    for target in re.findall(r"alertname = (\w+)", text):
        assert target in definitions().alerts
