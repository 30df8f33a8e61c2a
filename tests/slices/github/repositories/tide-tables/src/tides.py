"""Heights of the tide from harmonic constituents."""

import math

# Degrees per hour: how fast each constituent turns.
SPEEDS = {"M2": 28.984104, "S2": 30.0, "K1": 15.041069, "O1": 13.943036}


def height(constituents, hours):
    """The height above mean level, in metres, some hours after the epoch."""
    total = 0.0
    for name, (amplitude, phase) in constituents.items():
        angle = math.radians(SPEEDS[name] * hours - phase)
        total += amplitude * math.cos(angle)
    return total


def extremes(constituents, start, end, step=0.1):
    """Yields (hours, height, "high" or "low") between two times."""
    before = height(constituents, start - step)
    here = height(constituents, start)
    hours = start
    while hours < end:
        after = height(constituents, hours + step)
        if before < here >= after:
            yield hours, here, "high"
        if before > here <= after:
            yield hours, here, "low"
        before, here = here, after
        hours += step
