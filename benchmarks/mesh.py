"""The mesh: the claims of docs/performance.md about it, measured here.

    scripts/bench mesh              everything, about six minutes
    scripts/bench mesh --quick      smaller and shorter: is anything far off?
    scripts/bench mesh --only lag   one part

Files of 2 kB are served by nginx, announced through mosquitto, and taken by `samesky mesh peer`; by wis2downloader and
metpx-sr3 from PyPI, each in an environment of its own; and by a bare loop of aiohttp, all in the same run on the same
machine. Ends with status 1 when a bar doesn't hold.
"""

import click

from .mesh_parts import comparing, lag, losses, several, throughput
from .parts import Part, run_parts


def _parts(quick: bool) -> dict[str, Part]:
    return {
        "throughput": lambda folder: throughput.measure(
            folder, files=5_000 if quick else 30_000, slow_files=500 if quick else 2_000
        ),
        "lag": lambda folder: lag.measure(
            folder, idle_files=60 if quick else 400, busy_files=3_000 if quick else 20_000
        ),
        "chain": lambda folder: several.measure_chain(folder, files=3_000 if quick else 20_000),
        "full_mesh": lambda folder: several.measure_full_mesh(folder, files=1_000 if quick else 8_000),
        "burst": lambda folder: losses.measure_burst(folder, files=10_000),
        "away": lambda folder: losses.measure_away(folder, files=10_000 if quick else 100_000),
        "compare": lambda folder: comparing.measure(folder, files=10_000 if quick else 100_000),
    }


@click.command(epilog="Example: scripts/bench mesh --quick --only throughput")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list instead of a table.")
@click.option("--quick", is_flag=True, help="Smaller and shorter.")
@click.option("--only", type=click.Choice(list(_parts(True))), multiple=True, help="This part; may be repeated.")
def main(as_json: bool, quick: bool, only: tuple[str, ...]) -> None:
    """Measure the mesh."""
    run_parts(_parts(quick), only=only, as_json=as_json)


if __name__ == "__main__":
    main()
