"""What ``pruuf doctor`` says of the line to Postgres."""

from __future__ import annotations

import pytest

from gateway.cli.doctor_line import judged


@pytest.mark.parametrize(
    ("host", "address", "encrypted", "mode", "ok", "detail"),
    [
        ("/run/postgresql", "", False, "prefer", True, "does not leave this machine"),
        ("localhost", "127.0.0.1", False, "disable", True, "does not leave this machine"),
        ("::1", "::1", False, "prefer", True, "does not leave this machine"),
        # The name says little; where it leads to counts.
        ("localhost", "10.0.0.5", False, "prefer", False, "not encrypted"),
        ("db.example.com", "", False, "prefer", False, "not encrypted"),
        ("db.example.com", "10.0.0.5", True, "prefer", False, "not verified (sslmode=prefer)"),
        ("db.example.com", "10.0.0.5", True, "verify-ca", False, "(sslmode=verify-ca)"),
        ("db.example.com", "10.0.0.5", True, "verify-full", True, "name verified"),
    ],
)
def test_the_line(
    host: str, address: str, *, encrypted: bool, mode: str, ok: bool, detail: str
) -> None:
    check = judged(host=host, address=address, encrypted=encrypted, mode=mode)
    assert check.ok is ok
    assert detail in check.detail
    assert ok or "sslmode=verify-full" in check.remedy
