"""`samesky mesh pub`: announce files."""

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..core.counts import count_of
from ..errors import ConfigError, DataError
from .configuration import json_option, telling
from .mesh_options import (
    SEED_SPELLING,
    choose_base_url,
    make_client_id,
    posting_options,
    read_headers,
    read_post_settings,
    read_telling,
)

if TYPE_CHECKING:
    from ..mesh.index import Index
    from ..mesh.publish import ReadFile, Telling
    from ..mesh.publisher import Publisher

BATCH = 256
"""Files that are read, entered in the tree's index and announced together."""
WINDOW = 500


@click.command(
    "pub",
    short_help="Announce files.",
    context_settings=SEED_SPELLING,
    epilog="Example: samesky mesh pub --post-broker mqtt://owner:ownerpw@this_host data/hello.txt",
)
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@posting_options
@click.option(
    "--post-base-dir",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default="data",
    show_default=True,
    help="The tree: files are announced by their place in it.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=0.1),
    default=15.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for the broker.",
)
@json_option
def command(files: tuple[Path, ...], post_base_dir: Path, timeout: float, as_json: bool, **options: Any) -> int:
    """Announce FILEs to all peers; of a folder everything below it.

    Ends with 0 when the broker has all announcements, 3 when it doesn't, 4 when a file couldn't be read or has a name
    that peers refuse; the others are announced.
    """
    from ..mesh.publish import open_index
    from ..mesh.publisher import Publisher

    task = _Task(
        base_dir=post_base_dir,
        base_url=choose_base_url(options["post_base_url"], post_base_dir),
        telling=read_telling(options),
        headers=read_headers(options["headers"]),
        inline_most_bytes=options["inline_max"] if options["inline"] else 0,
        timeout_s=timeout,
    )
    task.check(files)
    with ExitStack() as stack:
        publisher = stack.enter_context(Publisher(read_post_settings(options, make_client_id("pub"), window=WINDOW)))
        publisher.wait_until_connected(timeout)
        index = open_index(post_base_dir)
        if index is not None:
            stack.enter_context(index)
        say = stack.enter_context(telling())
        for batch in _batches(_expand(files)):
            task.announce(batch, index, publisher)
            say(f"{len(task.announced):,} files announced")
        publisher.finish(timeout)
    return _tell(task, options["post_broker"], as_json)


@dataclass(slots=True)
class _Task:
    """What to announce how, and what became of it."""

    base_dir: Path
    base_url: str
    telling: "Telling"
    headers: dict[str, object]
    inline_most_bytes: int
    timeout_s: float
    announced: list[dict[str, object]] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)

    def check(self, files: Sequence[Path]) -> None:
        """Refuse, before anything is done, what the user can't have meant."""
        from ..mesh.publish import path_below

        for file in files:
            try:
                path_below(file / "any" if file.is_dir() else file, self.base_dir)
            except DataError as error:
                hint = f"put it into {self.base_dir}, or set --post-base-dir"
                raise ConfigError(f"{file} can't be announced: {error}", hint=hint) from None

    def announce(self, files: Sequence[Path], index: "Index | None", publisher: "Publisher") -> None:
        """Read ``files``, enter them in the tree's index if there is one, and hand them to the broker."""
        from ..mesh.publish import enter_files

        read = [found for file in files if (found := self._read(file)) is not None]
        for announcement in enter_files(index, read, base_url=self.base_url, headers=self.headers):
            try:
                message = self.telling.make_message(announcement)
            except DataError as error:
                self.failed[str(self.base_dir / announcement.path)] = str(error)
                continue
            publisher.publish(message, self.timeout_s)
            self.announced.append({"relPath": announcement.path, "topic": message.topic, "size": announcement.size})

    def _read(self, file: Path) -> "ReadFile | None":
        from ..mesh.publish import path_below, read_file

        try:
            path = path_below(file, self.base_dir)
            return read_file(file, path, inline_most_bytes=self.inline_most_bytes)
        except DataError as error:
            self.failed[str(file)] = str(error)
        except OSError as error:
            self.failed[str(file)] = error.strerror or str(error)
        return None


def _expand(files: Sequence[Path]) -> Iterator[Path]:
    from ..mesh.publish import find_files

    for file in files:
        if file.is_dir() and not file.is_symlink():
            yield from find_files(file)
        else:
            yield file


def _batches(files: Iterator[Path]) -> Iterator[list[Path]]:
    while batch := list(islice(files, BATCH)):
        yield batch


def _tell(task: _Task, broker: str, as_json: bool) -> int:
    from ..link.broker_url import decode_broker_url

    for file, words in task.failed.items():
        click.echo(f"samesky: {file} isn't announced: {words}", err=True)
    if as_json:
        click.echo(json.dumps({"announced": task.announced, "failed": task.failed}, indent=2))
    else:
        where = f"at {decode_broker_url(broker)}, to be fetched from {task.base_url}"
        click.echo(f"announced {count_of(len(task.announced), 'file')} {where}")
    return 4 if task.failed else 0
