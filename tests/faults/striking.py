"""Kills or stops a process at one named point.

The product knows nothing of the points. The nursery, which only tests start, replaces the one named
function of a child before its ``main`` runs; without its variable in the environment it replaces
nothing.
"""

from __future__ import annotations

import inspect
import os
import signal
from collections.abc import Callable, Mapping
from typing import Any

from tests.faults.point import Point
from tests.faults.points import POINTS

NAME = "FAULTS_POINT"
NTH = "FAULTS_POINT_NTH"
SIGNAL = "FAULTS_POINT_SIGNAL"
NOTE = "FAULTS_POINT_NOTE"
ONLY = "FAULTS_POINT_ONLY"
"""Strike only at a call whose arguments show this text."""


def arm(environ: Mapping[str, str]) -> None:
    """Arm the point that the environment names, if any."""
    name = environ.get(NAME)
    if name is None:
        return
    point = POINTS[name]
    left = int(environ.get(NTH, "1"))
    only = environ.get(ONLY, "")
    number = signal.Signals[f"SIG{environ.get(SIGNAL, 'KILL')}"]

    def strike(arguments: tuple[Any, ...]) -> None:
        nonlocal left
        if only and only not in repr(arguments):
            return
        left -= 1
        if left != 0:
            return
        note = os.open(environ[NOTE], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.write(note, f"{name}\n".encode())
        os.close(note)
        os.kill(os.getpid(), number)

    holder, attribute, function = point.resolve()
    setattr(holder, attribute, _around(function, point, strike))


def _around(
    function: Callable[..., Any], point: Point, strike: Callable[[tuple[Any, ...]], None]
) -> Any:  # noqa: ANN401
    def meant(arguments: tuple[Any, ...]) -> bool:
        return point.of is None or any(
            isinstance(argument, list) and argument and type(argument[0]).__name__ == point.of
            for argument in arguments
        )

    if not inspect.iscoroutinefunction(function):

        def plain(*arguments: Any, **options: Any) -> Any:  # noqa: ANN401
            if point.when == "before" and meant(arguments):
                strike(arguments)
            answer = function(*arguments, **options)
            if point.when == "after" and meant(arguments):
                strike(arguments)
            return answer

        return plain

    async def waiting(*arguments: Any, **options: Any) -> Any:  # noqa: ANN401
        if point.when == "before" and meant(arguments):
            strike(arguments)
        answer = await function(*arguments, **options)
        if point.when == "after" and meant(arguments):
            strike(arguments)
        return answer

    return waiting
