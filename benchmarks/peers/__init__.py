"""The same durable work on AOS and on the libraries people would pick instead.

    workload.py   what is to be done, as data      stats.py    medians, spread, ratios (pure)
    session.py    one system's process, measured   report.py   figures and Markdown (pure)
    server.py     the one Postgres server          chart.py    an SVG without a library (pure)
    usage.py      CPU and memory by process tree   child.py    the process that a system runs in
    systems/      one adapter per system           plugin/     AOS's no-op skills, as a plug-in

A *session* is one system in a process (or several) of its own, on a fresh database of the same
server. Sessions of all systems take turns within each repetition, so that whatever slows the
machine down slows all of them. Only one session runs at a time.

What each system guarantees at the commit it makes: docs/explanation/benchmarks.md.
"""
