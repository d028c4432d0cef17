"""The counter of outcomes that Prometheus' rules are about; every series is there at the start."""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter

from observability.slos import Verdict, definitions


class OutcomeCounter:
    """Counts outcomes of objectives; one for each registry."""

    def __init__(self, registry: CollectorRegistry, *slos: str) -> None:
        """``slos``: those that this process counts; none: all."""
        self._verdicts: Mapping[tuple[str, str], Verdict] = {
            (key, outcome): verdict
            for key, slo in definitions().slo.items()
            if not slos or key in slos
            for outcome, verdict in slo.outcomes.items()
        }
        self._counter = Counter(
            "pruuf_slo_outcomes",
            "Outcomes of the objectives, each counted once by one process, and how they count.",
            ("slo", "outcome", "verdict"),
            registry=registry,
        )
        # A series that begins with its first count would hide that count from rate().
        for (slo, outcome), verdict in self._verdicts.items():
            self._counter.labels(slo, outcome, str(verdict))

    def add(self, slo: str, outcome: str, n: int) -> None:
        """Count; an outcome that the file does not know is bad."""
        verdict = self._verdicts.get((slo, outcome), Verdict.BAD)
        self._counter.labels(slo, outcome, str(verdict)).inc(n)
