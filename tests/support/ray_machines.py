"""A Ray cluster of several "machines" on this one, as Ray's own tests make them.

Run as a program it holds the cluster and obeys words on standard input (`add`, `remove`), each
answered by a line on standard output; the cluster ends with it. Used from a test it is the handle
on that program: the test's own process never holds a Ray.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from aos.cluster.environment import cluster_environment, ray_directory
from aos.cluster.settings import Settings


class RayMachines:
    """The cluster: its address, and machines that come and go."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.address: str = self._answer()["address"]

    def add(self) -> str:
        """Another machine joins; its node id."""
        return str(self._ask("add")["node"])

    def remove(self) -> None:
        """The machine that joined last is gone, without a word."""
        self._ask("remove")

    def _ask(self, word: str) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{word}\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith('{"'):
                answer: dict[str, Any] = json.loads(line)
                return answer
        raise AssertionError("the cluster has ended")


@contextmanager
def ray_machines(settings: Settings) -> Iterator[RayMachines]:
    """A cluster of one machine, to begin with, in the environment of an AOS home."""
    with subprocess.Popen(
        [sys.executable, __file__, str(ray_directory(settings))],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env=cluster_environment(settings),
    ) as process:  # fmt: skip
        try:
            yield RayMachines(process)
        finally:
            assert process.stdin is not None
            process.stdin.close()
            process.wait(timeout=60)


def _hold(temp: Path) -> None:
    from ray._private.utils import get_ray_address_file  # noqa: PLC0415 - as below
    from ray.cluster_utils import Cluster  # noqa: PLC0415 - only the program holds a Ray

    # It writes this file whatever its temp dir is, and on a fresh machine nobody has made the way.
    Path(get_ray_address_file(None)).parent.mkdir(parents=True, exist_ok=True)
    cluster = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 2, "include_dashboard": False, "temp_dir": str(temp)},
    )
    machines: list[Any] = []
    print(json.dumps({"address": cluster.address}), flush=True)  # noqa: T201 - the test reads it
    for line in sys.stdin:
        if line.strip() == "add":
            machines.append(cluster.add_node(num_cpus=1))
            answer = {"node": machines[-1].node_id}
        else:
            cluster.remove_node(machines.pop(), allow_graceful=False)
            answer = {"removed": True}
        print(json.dumps(answer), flush=True)  # noqa: T201 - likewise
    cluster.shutdown()


if __name__ == "__main__":
    _hold(Path(sys.argv[1]))
