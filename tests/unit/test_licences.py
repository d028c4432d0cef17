"""What is shipped with the product, in the end, may be: by the licences that it names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.metadata import Distribution, distribution

import pytest
from packaging.requirements import Requirement

_PERMITTED = re.compile(
    r"\b(MIT|Apache|BSD|0BSD|ISC|PSF|Python|Zlib|CC0|HPND|MPL|Mozilla|LGPL|Unlicense)"
)
"""MPL and LGPL bind their own files alone; psycopg, which is under the latter, is asked for."""

_UNSAID = {"pyreqwest": "Apache-2.0"}
"""Its metadata name none; its LICENSE file does."""


def _shipped() -> Iterator[Distribution]:
    """All that the product needs to run here, and what that needs."""
    seen: set[str] = set()
    wanted = ["pruuf-gateway"]
    while wanted:
        requirement = Requirement(wanted.pop())
        for extra in {"", *requirement.extras}:
            key = f"{requirement.name.lower()}[{extra}]"
            if key in seen:
                continue
            seen.add(key)
            found = distribution(requirement.name)
            if not extra:
                yield found
            for each in found.requires or ():
                marker = Requirement(each).marker
                if marker is None or marker.evaluate({"extra": extra}):
                    wanted.append(each)


def _licence(found: Distribution) -> str:
    told = found.metadata.json
    classified = [each for each in told.get("classifier", []) if each.startswith("License ::")]
    named = [told.get("license_expression"), told.get("license"), *classified]
    return " ".join(map(str, filter(None, named))) or _UNSAID.get(str(told["name"]).lower(), "")


_SHIPPED = {each.metadata["Name"]: each for each in _shipped()}


def test_what_is_shipped_is_found() -> None:
    assert {"litestar", "psycopg", "streamlit", "twilio", "stripe"} <= {
        name.lower() for name in _SHIPPED
    }


@pytest.mark.parametrize("name", sorted(_SHIPPED))
def test_its_licence_is_one_that_we_may_use(name: str) -> None:
    if name == "pruuf-gateway":
        return
    licence = _licence(_SHIPPED[name])
    assert _PERMITTED.search(licence), licence
    assert "AGPL" not in licence
