"""Who does it: the run machine, its journal, the planners, and the actor that performs."""
