"""Blocks: the claims of the design about them, measured here.

    scripts/bench blocks                   everything
    scripts/bench blocks --quick           shorter, and one kill: is anything far off?
    scripts/bench blocks --only losses     one part

Services of ours in one process, with blocks in memory, so that it is the links that are measured; RabbitMQ is a process
of its own on this machine, and confirms what is published. Ends with status 1 when a bar doesn't hold.
"""

import click

from .blocks_parts import losses, recovery, throughput
from .parts import Part, run_parts


def _parts(quick: bool) -> dict[str, Part]:
    return {
        "losses": lambda folder: losses.measure(folder, seconds=10 if quick else 60),
        "throughput": lambda folder: throughput.measure(folder, seconds=5 if quick else 30),
        "recovery": lambda folder: recovery.measure(folder, kills=1 if quick else 5),
    }


@click.command(epilog="Example: scripts/bench blocks --quick --only losses")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list instead of a table.")
@click.option("--quick", is_flag=True, help="Less time, fewer kills.")
@click.option("--only", type=click.Choice(list(_parts(True))), multiple=True, help="This part; may be repeated.")
def main(as_json: bool, quick: bool, only: tuple[str, ...]) -> None:
    """Measure the blocks."""
    run_parts(_parts(quick), only=only, as_json=as_json)


if __name__ == "__main__":
    main()
