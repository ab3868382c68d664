"""`aos demo`: the main job on real parts, from nothing to a report, and a crash in its middle."""
