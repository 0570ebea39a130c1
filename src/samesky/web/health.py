"""Whether everything is well, for who only wants to know that: load balancers, systemd, a cron job."""

from collections.abc import Sequence

from .noticeboard import Heard


def describe_health(
    heard: Sequence[Heard], now: float, *, max_lag_s: float | None = None, troubles: Sequence[str] = ()
) -> tuple[bool, str]:
    """Return whether every stream is well, and what isn't, a line each; nothing known is not well.

    ``troubles`` say what couldn't be read: what isn't known can't be called well.
    """
    if not heard:
        return False, "\n".join([*troubles, "nothing is known of any stream"]) + "\n"
    bad = [
        f"{each.snapshot.system} {each.snapshot.stream} ({each.snapshot.role}): {verdict.words}"
        + (f"; {verdict.todo}" if verdict.todo else "")
        for each in heard
        if (verdict := each.judge(now, max_lag_s=max_lag_s)).level == "bad"
    ]
    bad += troubles
    return not bad, "\n".join(bad or [f"ready: {len(heard)} known, none is bad"]) + "\n"
