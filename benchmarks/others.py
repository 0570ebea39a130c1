"""How much of the machine other programs used meanwhile: without that a figure says little."""

import os
from pathlib import Path


class Others:
    """Counts from its making; children count as ours once they have ended."""

    def __init__(self) -> None:
        self._busy_s, self._all_s, self._own_s = _read_busy_s(), _read_all_s(), _read_own_s()

    def share(self) -> float:
        """The share of all CPUs' time that went to others, 0 to 1."""
        others_s = (_read_busy_s() - self._busy_s) - (_read_own_s() - self._own_s)
        return max(0.0, others_s / max(0.001, _read_all_s() - self._all_s))


def _read_jiffies() -> list[int]:
    return [int(word) for word in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]


def _read_all_s() -> float:
    return sum(_read_jiffies()) / os.sysconf("SC_CLK_TCK")


def _read_busy_s() -> float:
    user, nice, system, _idle, _waiting, irq, softirq, stolen = _read_jiffies()
    return (user + nice + system + irq + softirq + stolen) / os.sysconf("SC_CLK_TCK")


def _read_own_s() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system
