"""A benchmark's parts: each in a folder of its own, and what others used of the machine meanwhile."""

import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from .claims import Claim, print_json, print_table
from .others import Others

Part = Callable[[Path], list[Claim]]


def run_parts(parts: Mapping[str, Part], *, only: Sequence[str], as_json: bool) -> NoReturn:
    """Measure the parts named in ``only`` (none: all) and print their claims; ends with 1 when one doesn't hold."""
    claims: list[Claim] = []
    for name, part in parts.items():
        if not only or name in only:
            start, others = time.monotonic(), Others()
            with tempfile.TemporaryDirectory(prefix=f"samesky-bench-{name}-") as folder:
                claims += part(Path(folder))
            took_s = time.monotonic() - start
            print(f"{name}: {took_s:.0f} s, other programs used {others.share():.0%} of the CPUs", file=sys.stderr)
    (print_json if as_json else print_table)(claims)
    sys.exit(0 if all(claim.holds for claim in claims) else 1)
