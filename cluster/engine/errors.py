"""What can go wrong at the seam."""

from __future__ import annotations

from ..errors import Blame, EngineError


class ClusterStartFailed(EngineError):
    """Ray did not start."""

    code = "AOS-6001"
    title = "The local Ray cluster did not start."
    next_action = "Read the Ray log named in the message, then run `aos doctor`."


class ClusterUnreachable(EngineError):
    """The Ray cluster named by `AOS_RAY_ADDRESS` does not answer."""

    code = "AOS-6002"
    title = "The Ray cluster cannot be reached."
    next_action = (
        "Check AOS_RAY_ADDRESS and that the cluster is up; a cluster with token authentication "
        "needs RAY_AUTH_MODE=token and its token."
    )


class ActorGone(EngineError):
    """The actor's process has ended; the call may or may not have been executed."""

    code = "AOS-6003"
    title = "The process that was called has ended."
    next_action = "Nothing: its supervisor restarts it. Watch with `aos tree --watch`."
    retryable = True
    blame = Blame.PLATFORM


class ActorUnavailable(EngineError):
    """The actor cannot be reached now; it may be alive. Suspicion, not death."""

    code = "AOS-6004"
    title = "The process that was called cannot be reached just now."
    next_action = "Nothing: the call is made again."
    retryable = True
    blame = Blame.PLATFORM


class ActorSilent(EngineError):
    """The actor did not answer in time; it may be alive and may have executed the call."""

    code = "AOS-6005"
    title = "The process that was called did not answer in time."
    next_action = "Look at the machine's load with `aos status`; the call is made again."
    retryable = True
    blame = Blame.PLATFORM


class RemoteFailure(EngineError):
    """The called method raised something that is not one of our errors: a bug."""

    code = "AOS-6006"
    title = "A process of AOS failed on a call."
    next_action = "Report it with the text above; the log is under $AOS_HOME/logs."
    blame = Blame.PLATFORM


class UnsuitableResources(EngineError):
    """No node of the cluster could ever satisfy the request."""

    code = "AOS-6007"
    title = "No machine of the cluster can satisfy these resources."
    next_action = "Lower the skill's resource contract or add a machine that has what is missing."
