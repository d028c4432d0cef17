"""The API's description: ``/schema/openapi.json``, and ``/schema`` to read it.

The page needs no outside script: its renderer is shipped.
"""

from __future__ import annotations

import json
from importlib import metadata, resources
from typing import Any

from litestar import Litestar, MediaType, Request, Response, Router, get
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin, OpenAPIRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme

from gateway.describe import KEY, described
from gateway.documented import OPT
from gateway.problems import NOT_FOUND, Problem, response

_TITLE = "Pruuf notification gateway"
_DESCRIPTION = """\
Takes events of the Pruuf app and makes sure that somebody knows: a missed check-in reaches a
person, or the person on call is told.

Send a key as `Authorization: Bearer pruuf_…`. Every error is `application/problem+json`, and its
`type` leads to a page that explains it.
"""
_SCRIPT = "rapidoc-min.js"
_PAGE = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; script-src 'self';
 style-src 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; base-uri 'none'">
<title>{_TITLE}: API</title>
<link rel="icon" href="data:,">
<style>rapi-doc::part(btn-outline) {{ width: auto }}</style>
<script type="module" src="/schema/{_SCRIPT}"></script>
</head>
<body>
<rapi-doc spec-url="/schema/openapi.json" load-fonts="false" render-style="read" theme="light"
 show-header="false" allow-spec-file-download="true" allow-server-selection="false"
 schema-style="table" schema-description-expanded="true" persist-auth="false">
</rapi-doc>
</body>
</html>
"""


class _Page(OpenAPIRenderPlugin):
    """The page for people."""

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:  # noqa: ARG002
        return _PAGE.encode()


class _Document(JsonRenderPlugin):
    """The description for programs."""

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:  # noqa: ARG002
        return json.dumps(description_of(request.app)).encode()


def description_of(app: Litestar) -> dict[str, Any]:
    """The OpenAPI document of an app, whole."""
    known = {
        handler.operation_id or handler.handler_name: handler.opt[OPT]
        for route in app.routes
        for handler in getattr(route, "route_handlers", ())
        if OPT in handler.opt
    }
    return described(app.openapi_schema.to_schema(), known)


@get(f"/{_SCRIPT}", media_type="text/javascript", sync_to_thread=True)
def _script() -> Response[bytes]:
    """Serve the renderer, which is shipped with the gateway."""
    script = resources.files(__package__).joinpath("static", _SCRIPT).read_bytes()
    headers = {"Cache-Control": "public, max-age=86400"}
    return Response(script, media_type="text/javascript", headers=headers)


def _as_problem(answer: Response[Any]) -> Response[Any]:
    # The framework answers unknown addresses below /schema by a page of its own.
    if answer.status_code == NOT_FOUND.status:
        return response(Problem(NOT_FOUND, "no such address"))
    return answer


def openapi_config() -> OpenAPIConfig:
    """For the app."""
    try:
        version = metadata.version("pruuf-gateway")
    except metadata.PackageNotFoundError:
        version = "unreleased"
    return OpenAPIConfig(
        title=_TITLE,
        version=version,
        description=_DESCRIPTION,
        use_handler_docstrings=True,
        operation_id_creator=lambda handler, *_: handler.handler_name,
        openapi_router=Router(
            "/schema",
            route_handlers=[_script],
            include_in_schema=False,
            after_request=_as_problem,
        ),
        render_plugins=[_Page(path="/", media_type=MediaType.HTML), _Document()],
        components=Components(
            security_schemes={
                KEY: SecurityScheme(
                    type="http",
                    scheme="bearer",
                    description="pruuf_…, made by `pruuf key create NAME --scope SCOPE`",
                ),
                "twilioSignature": SecurityScheme(
                    type="apiKey",
                    name="X-Twilio-Signature",
                    security_scheme_in="header",
                    description="HMAC-SHA1 of the public address and every field",
                ),
                "stripeSignature": SecurityScheme(
                    type="apiKey",
                    name="Stripe-Signature",
                    security_scheme_in="header",
                    description="t=…,v1=…: HMAC-SHA256 of the time and the raw body",
                ),
            },
        ),
    )
