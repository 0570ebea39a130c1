"""Times as REST spells them, ``2026-01-31T23:59:59``, and as everything else has them: seconds since 1970, UTC."""

import re
from datetime import datetime, timedelta

from ..core.strict import Reason, Refused

_SPELLING = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})(?:[T ]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.0{1,9})?)?Z?")
_EPOCH = datetime(1970, 1, 1)
_SECOND = timedelta(seconds=1)


def decode_time(text: str, reason: Reason = Reason.TYPE) -> int:
    """Return the seconds since 1970 of ``YYYY-MM-DDTHH:MM:SS`` in UTC; a date alone is its midnight.

    Raises ``Refused`` (``reason``) for any other spelling, a zone and fractions of a second among them.
    """
    found = _SPELLING.fullmatch(text)
    try:
        if found is None:
            raise ValueError
        moment = datetime(*(int(part or 0) for part in found.groups()))  # type: ignore[arg-type]
    except ValueError:
        raise Refused(
            reason, "a time must be spelled YYYY-MM-DDTHH:MM:SS, in UTC, such as 2026-01-31T23:59:59"
        ) from None
    return (moment - _EPOCH) // _SECOND


def encode_time(time_s: int) -> str:
    """Return ``time_s`` as `decode_time` takes it back."""
    return (_EPOCH + timedelta(seconds=time_s)).isoformat()
