"""The door: HTTP, the command line and the SDK. The only folder that knows FastAPI.

    app.py       the application, put together          server.py    the process that serves it
    auth.py      keys and who may do what               problems.py  errors as HTTP, in one place
    middleware.py  ids, limits, headers, the key        follow.py    live journals for many readers
    present.py   rows and folds as what is shown        doorbell.py  the supervisors, from out here
    metrics.py   counters as folds of the journal       routes/      parse, call, present
    client/      the SDK, and the shapes on the wire    cli/         the command `aos`

The door keeps nothing: a run that was answered with 202 is a row, its progress is its journal, and
a front that dies takes nothing with it but open connections, which resume by `Last-Event-ID`.
"""
