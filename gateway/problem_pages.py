"""The pages behind the ``type`` of each problem: what it means and what to do, in plain words."""

from __future__ import annotations

from html import escape
from typing import Annotated

from litestar import MediaType, Response, Router, get
from litestar.params import PathParameter

from gateway.documented import Answer, documented
from gateway.problems import KINDS, NOT_FOUND, Kind, Problem

ProblemName = Annotated[str, PathParameter(schema_extra={"enum": list(KINDS)})]

_PAGE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>body{{font:1rem/1.6 system-ui,sans-serif;max-width:42rem;margin:3rem auto;padding:0 1rem}}
code{{background:#eee;padding:.1em .3em}}</style></head>
<body>{body}</body></html>
"""


def _page(title: str, body: str) -> Response[str]:
    return Response(
        _PAGE.format(title=escape(title), body=body),
        media_type=MediaType.HTML,
        headers={"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"},
    )


def _described(kind: Kind) -> str:
    return (
        f"<h1>{escape(kind.title)}</h1>"
        f"<p><code>{kind.status:d}</code> <code>{escape(kind.type)}</code></p>"
        f"<p>{escape(kind.explanation)}</p>"
        '<p><a href="/problems">All problems</a> · <a href="/schema">The API</a></p>'
    )


@get(
    "/",
    sync_to_thread=False,
    opt=documented(answers={200: Answer("The list", str, "text/html")}),
)
def every_problem() -> Response[str]:
    """List every problem with its page."""
    rows = "".join(
        f'<li><a href="{kind.type}">{escape(kind.title)}</a> <code>{kind.status:d}</code></li>'
        for kind in KINDS.values()
    )
    return _page("Problems", f"<h1>Problems</h1><ul>{rows}</ul>")


@get(
    "/{name:str}",
    sync_to_thread=False,
    opt=documented(
        answers={200: Answer("Its page", str, "text/html")},
        problems=(NOT_FOUND,),
    ),
)
def problem(name: ProblemName) -> Response[str]:
    """Explain one problem."""
    kind = KINDS.get(name)
    if kind is None:
        raise Problem(NOT_FOUND, "there is no problem of this name")
    return _page(kind.title, _described(kind))


router = Router("/problems", route_handlers=[every_problem, problem], tags=["problems"])
