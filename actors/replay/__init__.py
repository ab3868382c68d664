"""Replay: whether a run did what the machine would do, and what it would have done otherwise.

A journal holds two kinds of events. **Facts** came from outside the machine: what was submitted,
which process took the run up, what a call returned, what somebody said. **Decisions** are the
machine's: an intent, the beginning and the end of a wait, a rest, the end of the run. Facts are
believed; decisions follow from them, so they can be made again and compared.

    verify    walks a journal and asks the machine, before each decision, whether it would have
              decided so at some instant since the event before; the first that it would not have
              is the divergence
    mock      drives the run again: facts are answered from the recording, all decisions are made
              anew, and the behaviour of both is compared
    what_if   the same with something changed: calls whose input is what it was are answered from
              the recording, the others are named, and the run stops at them
    dry_run   what the recorded plans would call now, against what is installed, and for how much

Nothing of this calls a skill or writes to a journal.

A journal does not say when a read was dispatched, nor which outcomes a process heard of before it
asked the machine again. So a dispatch counts as made if the machine asked for it at any moment
since the run was last taken up, and a decision as right if there is an instant between its
predecessor and itself at which the machine takes it. Decisions change with time only at instants
that the state names (a retry, a wait's end, the deadline), so there are few to try.

What *the same behaviour* is: steps, skills with versions, attempts, outcome codes and whether they
may be retried, effects and side effects in order, cost, and the end. Not: times, ids of runs,
outputs, and texts for people (`behaviour`). Texts are compared by `verify` only where the code that
wrote them is the code that reads them.

A **trace** is a journal as a file that needs no database to be checked, and a **golden recording**
a trace with a signature (`trace`, `signing`).
"""
