"""What replaying refuses."""

from __future__ import annotations

from ...cluster.errors import Blame, InputError


class InvalidTrace(InputError):
    """A file is no trace, or not all of one. The context has `line` where one is to blame."""

    code = "AOS-3030"
    title = "This file is not a trace."
    next_action = "Write one with `aos runs trace RUN -o FILE`."


class InvalidSignature(InputError):
    """A golden recording's signature is missing, or is not one of this file with this key."""

    code = "AOS-3031"
    title = "The recording is not what was signed."
    next_action = "Take the recording from where it was signed, or sign it with `aos trace sign`."
    blame = Blame.CALLER


class UnusableKey(InputError):
    """A signing key cannot be read, or others can read it."""

    code = "AOS-3032"
    title = "The key for signatures cannot be used."
    next_action = "Give it to its owner alone (chmod 600), or remove it: a new one is made."
    blame = Blame.OPERATOR


class ImpossibleReplay(InputError):
    """What was asked for does not fit the run: no such step, no such limit."""

    code = "AOS-3033"
    title = "The run cannot be replayed so."
    next_action = "See its steps with `aos runs show RUN`; limits are those of an agent's profile."


class NotReplayable(InputError):
    """A journal cannot be driven again: it cannot be read, or is none."""

    code = "AOS-3034"
    title = "This journal cannot be driven again."
    next_action = "See where and why with `aos runs verify RUN`."
