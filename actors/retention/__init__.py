"""Retention: finished runs are archived and dropped by partitions, while everything else goes on.

A removal takes one partition (a week of run ids, or the default partition that has all ids without
a week of their own) through five steps, each of which can be the last one before a kill:

    begin      which runs stay is decided and written down; everything else in the partition is
               finished, so its rows will never change again
    archive    those runs go to a file per tenant: written whole, fsynced, renamed, and only then
               named in `archives`. Without a directory for archives this is left out
    keys       the idempotency keys of those runs are deleted, in small batches
    swap       in one short transaction the partition leaves its parents. What stays of it was
               copied into tables beforehand (`stage`) and takes its place
    drop       the tables that left are dropped

**Who may go.** Runs that ended before the policy's instant, unless the run that began their tree or
their parent is unfinished: those may yet ask what came of them. An unfinished run stays for however
long it waits, and a partition with such runs becomes a small one.

**Locks.** Only `swap` takes a lock that others wait for: ACCESS EXCLUSIVE on `runs`, `journal` and
`blobs`, for the few milliseconds that renaming takes. While it waits for that lock everybody queues
behind it, so it waits for `LOCK_MS` at most, gives up, and comes again after a growing pause. (To
detach CONCURRENTLY is refused where there is a default partition, and it could not swap anyway.)

**What a crash does.** A removal that was begun is taken up again with the same list of who stays,
so an archive that was half written is written again under the same name, with the same content.
After the swap only tables are left that nobody can see, and the next round drops them. Two
processes that work on the same removal do each other no harm: swap and drop take the removal's row
lock and look at its state, and files are renamed into place.

**Idempotency keys** go before their runs. A key therefore never points to a run that is not there;
and whoever uses a key again after its time makes a new run and is told so, instead of being handed
the result of a run that is about to vanish.

**References.** Forks, dead letters and parents name runs that may be gone: there are no foreign
keys, and whoever follows such a name is told that there is no such run.
"""
