"""Writes the tables of ``runbooks/reference/api.md`` anew: ``python -m gateway.api_page``.

The text between them is written by hand, and its examples are run by a test.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from litestar import Litestar

from gateway.app import ROUTES
from gateway.openapi import description_of, openapi_config
from gateway.problems import KINDS

PAGE = Path(__file__).resolve().parents[1] / "runbooks" / "reference" / "api.md"


def refreshed(page: str) -> str:
    """The page with its tables as they follow from the code."""
    description = description_of(Litestar(ROUTES, openapi_config=openapi_config()))
    tables = {"operations": _operations(description), "problems": _problems()}
    for name, table in tables.items():
        start, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->\n"
        before, found, rest = page.partition(start)
        _, closed, after = rest.partition(end)
        if not found or not closed:
            msg = f"the page must have one place for the {name}"
            raise ValueError(msg)
        page = f"{before}{start}\n{table}\n{end}{after}"
    return page


def _table(*rows: tuple[str, ...]) -> str:
    head, *others = rows
    lines = [head, ("---",) * len(head), *others]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def _operations(description: Mapping[str, Any]) -> str:
    rows = [
        (f"`{method.upper()} {path}`", _needs(operation), operation["summary"])
        for path, item in description["paths"].items()
        for method, operation in item.items()
    ]
    return _table(("operation", "needs", "what"), *rows)


def _needs(operation: Mapping[str, Any]) -> str:
    """The scope of the key, or what else is shown."""
    schemes = [
        (name, scopes) for each in operation.get("security", ()) for name, scopes in each.items()
    ]
    if not schemes:
        return "nothing"
    return " or ".join(f"`{scope}`" for _, scopes in schemes for scope in scopes) or "a signature"


def _problems() -> str:
    rows = [(f"{kind.status:d}", f"`{kind.type}`", kind.title) for kind in KINDS.values()]
    return _table(("status", "type", "title"), *rows)


if __name__ == "__main__":
    sys.stdout.write(f"writing {PAGE}\n")
    PAGE.write_text(refreshed(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
