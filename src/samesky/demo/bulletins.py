"""Made-up weather bulletins, as files of a tree: what the demo of the mesh publishes."""

import random
import time
from pathlib import Path

CENTRES = ("CWAO", "EDZW", "EGRR", "KWBC", "LFPW", "RJTD")
LINES = 20


class Bulletins:
    """Writes bulletins, each under a number of its own from ``first`` on, and with values of its own."""

    def __init__(self, first: int = 1) -> None:
        self._rng = random.Random(first)
        self._following = first

    def write(self, tree: Path, count: int) -> list[str]:
        """Write ``count`` new files below ``tree``; returns their paths, relative to it.

        They are where the seed has them: a folder for the UTC hour, then the source, the centre, the kind.
        """
        hour = time.strftime("%Y%m%dT%H", time.gmtime())
        return [self._write_one(tree, hour) for _ in range(count)]

    def _write_one(self, tree: Path, hour: str) -> str:
        number, self._following = self._following, self._following + 1
        centre = self._rng.choice(CENTRES)
        path = f"{hour}/GTS/{centre}/SM/SMVX01_{centre}_{number:06}.txt"
        file = tree / path
        file.parent.mkdir(parents=True, exist_ok=True)
        # Written beside, then renamed: nobody may read half of it, not even here.
        unfinished = file.with_name(f".{file.name}")
        unfinished.write_text("\n".join([f"SMVX01 {centre} {hour[-2:]}0000", *self._reports()]) + "\n")
        unfinished.replace(file)
        return path

    def _reports(self) -> list[str]:
        """Lines in the manner of SYNOP reports."""
        rng = self._rng
        return [
            f"{rng.randrange(99999):05} 11{rng.randrange(100, 999)} {rng.randrange(80000):05} "
            f"10{rng.randrange(400):03} 20{rng.randrange(300):03} 4{rng.randrange(9999):04} 5{rng.randrange(8999):04}="
            for _ in range(LINES)
        ]
