"""What a skill needs to run: becomes the Ray task's resources, and its deadline."""

from __future__ import annotations

from pydantic import Field

from .values import Contract


class ResourceContract(Contract):
    """Declared before execution. `cpus` also bounds how many calls a machine runs at once:
    calls that only wait for the network declare less than one.
    """

    cpus: float = Field(default=1.0, gt=0)
    gpus: float = Field(default=0.0, ge=0)
    memory_mb: int = Field(
        default=0,
        ge=0,
        description="MiB that an attempt may allocate: the kernel refuses more. Counted in "
        "placement. 0: the setting skill_memory_mb, and not counted in placement.",
    )
    custom: dict[str, float] = Field(default_factory=dict)
    timeout_s: float = Field(default=60.0, gt=0, description="From the start of execution.")
    queue_timeout_s: float = Field(default=300.0, gt=0, description="From dispatch to start.")
    cost_estimate_microusd: int = Field(default=0, ge=0)
