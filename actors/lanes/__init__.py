"""Processes that do the calls of many runs of an agent: the way to a skill's process costs more
than what a quick skill does there, and one that only waits can wait beside others.

`lanes` decides who goes to which process, `line` keeps one, by the `rules` of when it is given
what; `serving` is what runs there, and `wire` what is said between the two.
"""

from .lanes import Lane, Lanes, lane_of
from .ticket import HandedBack
from .wire import Chain, Link

__all__ = ["Chain", "HandedBack", "Lane", "Lanes", "Link", "lane_of"]
