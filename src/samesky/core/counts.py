"""How many there are of something, in words, as people say it."""


def count_of(number: int, what: str) -> str:
    """``1 record``, ``105,120 records``: ``what`` is one of them, and takes an s for more."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"
