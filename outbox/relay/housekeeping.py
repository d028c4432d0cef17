"""What a relay does beside delivery: codes, devices, what becomes old, and whoever is forgotten."""

from __future__ import annotations

from collections.abc import Callable

from observability.relay_metrics import RelayMetrics
from outbox.relay.codes_watch import CodesWatch
from outbox.relay.database import Session
from outbox.relay.devices_age import DevicesAge
from outbox.relay.erasing import Erasing
from outbox.relay.retaining import Retention
from outbox.sealing import Sealer
from outbox.settings import Settings


class Housekeeping:
    """Its parts; nothing runs yet."""

    def __init__(
        self,
        settings: Settings,
        sealer: Sealer,
        metrics: RelayMetrics,
        *,
        part: Callable[[str], Session],
        wake: Callable[[int], None],
    ) -> None:
        """``part`` gives each its own session; ``wake`` is told which lanes have something due."""
        self.codes_watch = CodesWatch(
            session=part("codes"),
            sealer=sealer,
            policy=settings.policy,
            metrics=metrics,
            wake_lane=wake,
        )
        self.devices_age = DevicesAge(
            session=part("devices"),
            sealer=sealer,
            policy=settings.policy,
            metrics=metrics,
            wake_lane=wake,
        )
        self.retention = Retention(
            session=part("retention"), keep=settings.policy.keep, metrics=metrics
        )
        self.erasing = Erasing(
            session=part("erasing"),
            sealer=sealer,
            policy=settings.policy,
            metrics=metrics,
            wake_lane=wake,
        )

    @property
    def running(self) -> tuple[CodesWatch, DevicesAge, Retention, Erasing]:
        """All of them."""
        return self.codes_watch, self.devices_age, self.retention, self.erasing
