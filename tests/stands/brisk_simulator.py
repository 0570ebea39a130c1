"""WeeWX's own simulator with a clock that runs fast: a driver for stations that must archive whole minutes in seconds.

MariaDB's INTEGER `interval` can't hold ten seconds (a sixth of a minute becomes 0), so a station that archives there
every few real seconds has to live in a time of its own. It goes on where its main database ends.
"""

import time
from collections.abc import Iterator
from typing import Any

import weewx.manager
from weewx.drivers.simulator import Simulator

DRIVER_NAME = "BriskSimulator"


def loader(config: dict[str, Any], engine: Any) -> "BriskSimulator":
    """What the engine calls; ``engine`` isn't needed."""
    options = config[DRIVER_NAME]
    binding = config["StdArchive"].get("data_binding", "wx_binding")
    with weewx.manager.open_manager_with_config(config, binding, initialize=True) as manager:
        start_time = manager.lastGoodStamp() or int(options["start_time"])
    return BriskSimulator(start_time, float(options["speed"]), loop_interval=float(options["loop_interval"]))


class BriskSimulator(Simulator):  # type: ignore[misc]  # WeeWX has no types
    """Emits the simulator's packets, ``speed`` times as fast as the wall clock."""

    def __init__(self, start_time: float, speed: float, *, loop_interval: float) -> None:
        super().__init__(start_time=start_time, loop_interval=loop_interval, mode="generator")
        self._pause_s = loop_interval / speed

    def genLoopPackets(self) -> Iterator[dict[str, Any]]:
        """WeeWX's generator of packets, paced."""
        due = time.monotonic()
        for packet in super().genLoopPackets():
            due = max(due + self._pause_s, time.monotonic() - self._pause_s)
            time.sleep(max(0.0, due - time.monotonic()))
            yield packet
