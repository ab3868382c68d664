"""How much memory there is: from files as the kernel writes them, in both versions."""

from __future__ import annotations

from pathlib import Path

import pytest

from aos.cluster.memory import MachineMemory, machine_memory

MIB = 1024 * 1024
UNLIMITED_V1 = "9223372036854771712"
GROUP = "/kubepods/pod7/box"


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """A machine of 8,000 MiB with 6,000 available."""
    folder = tmp_path / "proc"
    (folder / "self").mkdir(parents=True)
    (folder / "meminfo").write_text(
        f"MemTotal:       {8000 * 1024} kB\nMemFree:         1024 kB\n"
        f"MemAvailable:   {6000 * 1024} kB\nHugePages_Total:       0\n"
    )
    return folder


@pytest.fixture
def cgroups(tmp_path: Path) -> Path:
    folder = tmp_path / "cgroup"
    folder.mkdir()
    return folder


def group_v2(folder: Path, limit: str, used: int, cached: int = 0) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "memory.max").write_text(f"{limit}\n")
    (folder / "memory.current").write_text(f"{used * MIB}\n")
    (folder / "memory.stat").write_text(f"anon 1\nfile 2\ninactive_file {cached * MIB}\n")


def group_v1(folder: Path, limit: str, used: int, cached: int = 0) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "memory.limit_in_bytes").write_text(f"{limit}\n")
    (folder / "memory.usage_in_bytes").write_text(f"{used * MIB}\n")
    (folder / "memory.stat").write_text(f"inactive_file 7\ntotal_inactive_file {cached * MIB}\n")


def test_a_machine_without_groups(proc: Path, cgroups: Path) -> None:
    (proc / "self/cgroup").write_text("")
    assert machine_memory(proc, cgroups) == MachineMemory(8000 * MIB, 2000 * MIB)


def test_a_container_of_version_2_that_sees_its_own_root(proc: Path, cgroups: Path) -> None:
    (proc / "self/cgroup").write_text("0::/\n")
    group_v2(cgroups, str(1000 * MIB), used=900, cached=300)
    assert machine_memory(proc, cgroups) == MachineMemory(1000 * MIB, 600 * MIB)


def test_a_limit_above_us_holds_for_us(proc: Path, cgroups: Path) -> None:
    (proc / "self/cgroup").write_text(f"0::{GROUP}\n")
    group_v2(cgroups / "kubepods/pod7/box", "max", used=100)
    group_v2(cgroups / "kubepods/pod7", str(2000 * MIB), used=1800)
    group_v2(cgroups / "kubepods", "max", used=1900)
    assert machine_memory(proc, cgroups) == MachineMemory(2000 * MIB, 1800 * MIB)


def test_the_fullest_counts_be_it_the_machine(proc: Path, cgroups: Path) -> None:
    (proc / "self/cgroup").write_text(f"0::{GROUP}\n")
    group_v2(cgroups / "kubepods/pod7/box", str(1000 * MIB), used=100)
    assert machine_memory(proc, cgroups) == MachineMemory(8000 * MIB, 2000 * MIB)
    group_v2(cgroups / "kubepods/pod7", str(3000 * MIB), used=1500)
    assert machine_memory(proc, cgroups) == MachineMemory(3000 * MIB, 1500 * MIB)


def test_version_1_beside_a_version_2_that_knows_no_memory(proc: Path, cgroups: Path) -> None:
    (proc / "self/cgroup").write_text(f"5:cpu,cpuacct:/\n4:memory:{GROUP}\n0::/\n")
    group_v1(cgroups / "memory/kubepods/pod7/box", str(1500 * MIB), used=1000, cached=50)
    group_v1(cgroups / "memory", UNLIMITED_V1, used=7000)
    assert machine_memory(proc, cgroups) == MachineMemory(1500 * MIB, 950 * MIB)


def test_a_container_of_version_1_whose_path_is_the_hosts(proc: Path, cgroups: Path) -> None:
    (proc / "self/cgroup").write_text("4:memory:/docker/abc\n")
    group_v1(cgroups / "memory", str(500 * MIB), used=400, cached=100)
    assert machine_memory(proc, cgroups) == MachineMemory(500 * MIB, 300 * MIB)


@pytest.mark.parametrize("limit", ["max", UNLIMITED_V1, str(9000 * MIB)])
def test_a_limit_beyond_the_machine_is_none(proc: Path, cgroups: Path, limit: str) -> None:
    (proc / "self/cgroup").write_text("0::/\n")
    group_v2(cgroups, limit, used=7900)
    assert machine_memory(proc, cgroups) == MachineMemory(8000 * MIB, 2000 * MIB)


def test_this_machine() -> None:
    here = machine_memory()
    assert 0 < here.used < here.total
