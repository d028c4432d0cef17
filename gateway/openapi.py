"""The API's description: ``/schema/openapi.json``, and ``/schema`` to read it.

The page needs no outside script: its renderer is shipped.

The framework lists addresses and parameters; bodies, answers and problems come from the types
that really decode and encode them, so that what is refused is described as refused.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Iterator, Mapping
from importlib import metadata, resources
from typing import Any

import msgspec
from litestar import MediaType, Request, Response, Router, get
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin, OpenAPIRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme

from gateway.documented import OPT, Documented
from gateway.problems import KINDS, MEDIA_TYPE, NOT_FOUND, Details, Problem, response

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
_REF = "#/components/schemas/{name}"
_KEY = "apiKey"


class _Page(OpenAPIRenderPlugin):
    """The page for people."""

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:  # noqa: ARG002
        return _PAGE.encode()


class _Document(JsonRenderPlugin):
    """The description for programs."""

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        routes = request.app.routes
        by_operation = {
            handler.operation_id or name: handler.opt[OPT]
            for route in routes
            for handler in getattr(route, "route_handlers", ())
            for name in [handler.handler_name]
            if OPT in handler.opt
        }
        return json.dumps(described(openapi_schema, by_operation)).encode()


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
                _KEY: SecurityScheme(
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
            },
        ),
    )


def described(schema: Mapping[str, Any], known: Mapping[str, Documented]) -> dict[str, Any]:
    """The framework's description with bodies, answers, problems and keys filled in."""
    full: dict[str, Any] = copy.deepcopy(dict(schema))
    operations = [
        (operation, known[operation["operationId"]])
        for item in full["paths"].values()
        for operation in item.values()
        if operation["operationId"] in known
    ]
    types = [Details, *_types(what for _, what in operations)]
    schemas, components = msgspec.json.schema_components(types, ref_template=_REF)
    by_type = dict(zip(map(repr, types), schemas, strict=True))
    for operation, what in operations:
        _describe(operation, what, by_type)
    full["components"]["schemas"] = components
    portable: dict[str, Any] = _portable(full)
    return portable


def _types(documented: Iterable[Documented]) -> Iterator[Any]:
    seen = {repr(Details)}
    for what in documented:
        for each in (*what.bodies.values(), *(answer.content for answer in what.answers.values())):
            if each is not None and repr(each) not in seen:
                seen.add(repr(each))
                yield each


def _describe(operation: dict[str, Any], what: Documented, by_type: Mapping[str, Any]) -> None:
    operation["summary"] = operation.get("description", "").partition(".")[0]
    if what.bodies:
        content = {
            media_type: {"schema": by_type[repr(body)]} for media_type, body in what.bodies.items()
        }
        if what.example is not None:
            next(iter(content.values()))["example"] = what.example
        operation["requestBody"] = {"required": True, "content": content}
    if what.scope is not None:
        operation["security"] = [{_KEY: [str(what.scope)]}]
    elif what.security is not None:
        operation["security"] = [{what.security: []}]
    answers: dict[str, Any] = {}
    for status, answer in sorted(what.answers.items()):
        answers[str(status)] = {"description": answer.text}
        if answer.content is not None:
            schema = by_type[repr(answer.content)]
            answers[str(status)]["content"] = {answer.media_type: {"schema": schema}}
    for status in sorted(_problem_statuses(operation, what)):
        titles = [kind.title for kind in KINDS.values() if kind.status == status]
        answers.setdefault(str(status), _problem(" / ".join(titles), by_type))
    answers["default"] = _problem("Any other error", by_type)
    operation["responses"] = answers


def _problem(text: str, by_type: Mapping[str, Any]) -> dict[str, Any]:
    return {"description": text, "content": {MEDIA_TYPE: {"schema": by_type[repr(Details)]}}}


def _problem_statuses(operation: Mapping[str, Any], what: Documented) -> set[int]:
    statuses = set(what.problems)
    if what.scope is not None:
        statuses |= {401, 403, 503}
    if what.bodies:
        statuses |= {400, 413, 503}
    if any("json" in media_type for media_type in what.bodies):
        statuses.add(415)
    if operation.get("parameters"):
        statuses.add(400)
    return statuses


def _portable(part: Any) -> Any:  # noqa: ANN401 - any part of a JSON document
    """Patterns end in ``$``, which other readers know; ours is Python's stricter end."""
    if isinstance(part, dict):
        return {
            key: value.replace(r"\Z", "$") if key == "pattern" else _portable(value)
            for key, value in part.items()
        }
    if isinstance(part, list):
        return [_portable(each) for each in part]
    return part
