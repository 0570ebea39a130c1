"""A span of time in words, as people say it."""

_UNITS = ((86_400, "days"), (3600, "h"), (60, "min"))


def describe_span(seconds: float) -> str:
    """``5 s``, ``95 s``, ``3 min``, ``2 h``, ``4 days``; web/page.js has the same rule."""
    for size, unit in _UNITS:
        if seconds >= 2 * size or (unit == "min" and seconds >= 100):
            return f"{seconds / size:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"
