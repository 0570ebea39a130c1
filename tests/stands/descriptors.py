"""The descriptors that this process has open."""

import os
from pathlib import Path


def count_open(folder: Path) -> int:
    """How many of them are of ``folder`` or what is below it. Others close when something of an earlier test ends."""
    return sum(place == str(folder) or place.startswith(f"{folder}/") for place in _read_places())


def _read_places() -> list[str]:
    places = []
    for number in os.listdir("/proc/self/fd"):
        try:
            places.append(os.readlink(f"/proc/self/fd/{number}"))
        except FileNotFoundError:
            pass  # the one by which they were listed, or closed since
    return places
