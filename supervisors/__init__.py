"""Who keeps it alive and in bounds.

`restart` decides purely, `supervisor` performs, `tree` is the whole tree on one screen, `agents`
activates: it is the supervisor whose children are the agents themselves.
"""
