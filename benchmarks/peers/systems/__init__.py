"""One adapter per system: a module with `make(**options)` that returns a `System`."""
