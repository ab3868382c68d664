"""Runs: a pure machine over an append-only journal.

A run is what its journal says. `events` are what can be in it, `state` is the fold over them,
`machine.decide` looks at the state and the clock and says what to do, and nothing else in AOS
decides about a run. The agent performs the commands and appends what came of them.

    events  ──fold──▶  RunState  ──decide──▶  commands  ──perform──▶  events

When an event must be on disk follows from the effect class of its step (DESIGN: cost follows
effects), not from its kind:

    pure        the outcome travels with the next commit
    read        the outcome is committed before a decision uses it
    idempotent  likewise
    unsafe      the intent is committed before the call, the outcome after it

A process that dies leaves steps without an outcome. Resuming appends `run_resumed`, and folding
that event is what turns an unsafe intent without an outcome into `in_doubt`, and everything else
without an outcome into work to be dispatched again under the same idempotency key. A step with an
outcome is never dispatched again: `decide` cannot express it.
"""
