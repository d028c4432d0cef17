"""What processes used, read from /proc; null on systems that have none."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterable
from pathlib import Path

_PROC = Path("/proc")
_MIB = 1024 * 1024


def _ticks() -> int:
    return os.sysconf("SC_CLK_TCK")


def _stat(pid: int) -> list[str] | None:
    try:
        text = (_PROC / str(pid) / "stat").read_text()
    except OSError:
        return None
    # The name in parentheses may hold blanks; what is counted comes after it.
    return text.rpartition(")")[2].split()


def cpu_s(pid: int) -> float | None:
    """CPU seconds of a living process, its ended children included."""
    fields = _stat(pid)
    return None if fields is None else sum(int(field) for field in fields[11:15]) / _ticks()


def family(parent: int) -> list[int]:
    """A process and its children."""
    family = [parent]
    for entry in _PROC.glob("[0-9]*"):
        fields = _stat(int(entry.name))
        if fields is not None and int(fields[1]) == parent:
            family.append(int(entry.name))
    return family


def family_cpu_s(parent: int) -> float | None:
    """CPU seconds of a server whose children do the work, those that ended too."""
    if _stat(parent) is None:
        return None
    return sum(cpu_s(pid) or 0.0 for pid in family(parent))


def peak_mib(pid: int) -> float | None:
    """The most memory that a process held at once."""
    try:
        lines = (_PROC / str(pid) / "status").read_text().splitlines()
    except OSError:
        return None
    peak = next((line for line in lines if line.startswith("VmHWM:")), None)
    return None if peak is None else round(int(peak.split()[1]) / 1024, 1)


def family_mib(parent: int) -> float | None:
    """Memory that a server and its children hold now; shared pages count once."""
    total = 0
    for pid in family(parent):
        try:
            text = (_PROC / str(pid) / "smaps_rollup").read_text()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:"))
    return round(total / 1024, 1) if total else None


def memory_gib() -> float:
    """Memory of the machine."""
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / _MIB / 1024, 1)


def own_cpu_s() -> float:
    """CPU seconds of this process and of its children that ended."""
    spent = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(each.ru_utime + each.ru_stime for each in spent)


def machine_cpu_s() -> float | None:
    """CPU seconds that all cores were busy with anything since the start of the machine."""
    try:
        fields = (_PROC / "stat").read_text().splitlines()[0].split()[1:]
    except OSError:
        return None
    user, nice, system, _idle, _wait, irq, soft_irq, steal = (int(field) for field in fields[:8])
    return (user + nice + system + irq + soft_irq + steal) / _ticks()


def processor() -> str:
    """Its model, as the system names it."""
    try:
        lines = (_PROC / "cpuinfo").read_text().splitlines()
    except OSError:
        return "unknown"
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, "unknown")


def filesystem(folder: Path) -> str:
    """Type of the file system that holds a folder."""
    try:
        mounts = [line.split()[1:3] for line in (_PROC / "mounts").read_text().splitlines()]
    except OSError:
        return "unknown"
    holding = [(place, kind) for place, kind in mounts if folder.resolve().is_relative_to(place)]
    return max(holding, key=lambda mount: len(mount[0]))[1] if holding else "unknown"


def total(values: Iterable[float | None]) -> float | None:
    """Sum, or null as soon as one is unknown."""
    known = list(values)
    return None if None in known else sum(value for value in known if value is not None)


def less(later: float | None, earlier: float | None) -> float | None:
    """The difference, or null when either is unknown."""
    return None if later is None or earlier is None else later - earlier
