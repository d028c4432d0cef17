"""Within how long of its cause an alert has to call somebody."""

from __future__ import annotations

from observability import judging
from observability.slos import definitions

LOOK_S = 15
"""Between two looks of the watcher, as `pruuf watch` has it."""

MINUTE_S = 60


def window_s(alert: str) -> int:
    """Within how long of its cause somebody is called, as the definitions have it, and one look.

    A measure may be a minute old, and the last of the minutes of a burn rate be counted later.
    """
    defined, name = definitions(), alert.partition("/")[0]
    for condition in defined.condition.values():
        if condition.name == name:
            return condition.for_s + MINUTE_S + LOOK_S
    slo = next(each for each in defined.slo.values() if name.startswith(each.name))
    return slo.counted_after_s + judging._COUNTING_S + MINUTE_S + LOOK_S
