"""How much memory there is for us, and how much of it is used: the machine's, or less in a
container.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class MachineMemory:
    """Bytes. `used` is what cannot be had back without ending something: no caches."""

    total: int
    used: int


def machine_memory(
    proc: Path = Path("/proc"), cgroups: Path = Path("/sys/fs/cgroup")
) -> MachineMemory:
    """What bounds this process: of the machine and all control groups (version 1 or 2) around it,
    the one that is fullest.
    """
    whole = _machine(proc)
    return max([whole, *_groups(proc, cgroups, whole.total)], key=lambda m: m.used / m.total)


def _machine(proc: Path) -> MachineMemory:
    fields = _fields(proc / "meminfo")
    total = fields["MemTotal"] * 1024
    return MachineMemory(total, total - fields["MemAvailable"] * 1024)


def _groups(proc: Path, cgroups: Path, most: int) -> Iterator[MachineMemory]:
    for line in (proc / "self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            names = ("memory.max", "memory.current", "inactive_file")
            yield from _upwards(cgroups, path, names, most)
        elif "memory" in controllers.split(","):
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
            yield from _upwards(cgroups / "memory", path, names, most)


def _upwards(
    root: Path, path: str, names: tuple[str, str, str], most: int
) -> Iterator[MachineMemory]:
    """Each group from ours to the root of what is mounted that has a limit below the machine's.
    In a container the path may be the host's, which is not there: the root is then ours.
    """
    limit_file, used_file, cache_field = names
    ours = root / path.lstrip("/")
    for folder in (ours, *ours.parents):
        if folder.is_relative_to(root) and (folder / limit_file).exists():
            limit = (folder / limit_file).read_text().strip()
            if limit != "max" and 0 < int(limit) < most:
                cached = _fields(folder / "memory.stat").get(cache_field, 0)
                used = int((folder / used_file).read_text())
                yield MachineMemory(int(limit), max(0, used - cached))


def _fields(file: Path) -> dict[str, int]:
    """`name value` or `name: value kB` lines."""
    pairs = (line.split() for line in file.read_text().splitlines())
    return {pair[0].rstrip(":"): int(pair[1]) for pair in pairs}
