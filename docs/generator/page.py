"""The pages that are made of the code; ``python -m docs.generator.page`` writes them."""

from collections.abc import Callable, Iterator
from pathlib import Path

from .commands import render_commands, render_statuses
from .messages import render_messages
from .metrics import render_all_metrics
from .options import render_options

DOCS = Path(__file__).parents[1]


def make_reference() -> str:
    """The text of docs/reference.md."""
    return _join(_render_reference())


def make_messages() -> str:
    """The text of docs/messages.md."""
    return _join(_render_messages())


PAGES: dict[Path, Callable[[], str]] = {
    DOCS / "reference.md": make_reference,
    DOCS / "messages.md": make_messages,
}


def _join(lines: Iterator[str]) -> str:
    return "\n".join(lines).replace("\n\n\n", "\n\n").rstrip() + "\n"


def _render_reference() -> Iterator[str]:
    yield "# Reference"
    yield ""
    yield (
        "Made of the code by `scripts/reference`; don't change it by hand. The guides say what it is all for: "
        "[stations](station.md), [files](mesh.md), [databases](push.md), [blocks](blocks.md), [the page](web.md)."
    )
    yield ""
    yield "* [Commands](#commands)\n* [How a command ends](#how-a-command-ends)\n* [Configuration](#configuration)"
    yield "* [Metrics](#metrics)"
    yield ""
    yield "## Commands"
    yield ""
    yield from render_commands()
    yield "## How a command ends"
    yield ""
    yield from render_statuses()
    yield ""
    yield "## Configuration"
    yield ""
    yield (
        "Tables of samesky.toml. What stands in `[broker]` holds for both roles of a station; weewx.conf has the same "
        'options in `[MQTTReplicate]`. Where a file is named for a secret, `"credential:NAME"` is one that systemd '
        "passes to the service."
    )
    yield ""
    yield from render_options()
    yield "## Metrics"
    yield ""
    yield from render_all_metrics()


def _render_messages() -> Iterator[str]:
    yield "# Messages that say what to do"
    yield ""
    yield (
        "Made of the code by `scripts/reference`; don't change it by hand. `…` stands for what a message names. The "
        "status is that of a command that ends with it ([all of them](reference.md#how-a-command-ends)); a service "
        "goes on, or tries again. Those that are met most often are in [troubleshooting.md](troubleshooting.md), by "
        "what you see."
    )
    yield ""
    yield from render_messages()


if __name__ == "__main__":
    for page, make in PAGES.items():
        page.write_text(make(), encoding="utf-8")
