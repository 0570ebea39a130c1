"""A long sequence in pieces, for whoever takes only so much at once."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

Value = TypeVar("Value")


def slices_of(values: Sequence[Value], size: int) -> Iterator[Sequence[Value]]:
    """Yield ``values`` in order, ``size`` of them at a time; the last slice may be shorter."""
    return (values[at : at + size] for at in range(0, len(values), size))
