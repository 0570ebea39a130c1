"""`samesky station key`: keys with which a primary signs what it says, and the lines by which copies know them."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from ..station.signing_keys import PublicKey

_json = click.option("--json", "as_json", is_flag=True, help="Print the public key as a JSON object, for programs.")


@click.group(
    "key",
    short_help="Keys to sign with: make one, show its public line.",
    epilog="Example: samesky station key make home >> trusted-keys",
)
def command() -> None:
    """Keys with which a primary signs what it says, so that copies needn't believe whoever is on the broker."""


@command.command(
    "make",
    short_help="Make a secret key, and print its public line.",
    epilog="Example: samesky station key make home --file /etc/samesky/home.key >> trusted-keys",
)
@click.argument("instance")
@click.option("--copy", is_flag=True, help="A key for a copy of INSTANCE that answers for it (answer = true).")
@click.option(
    "--file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The secret key's file, a new one.  [default: INSTANCE.key, or INSTANCE-copy.key]",
)
@_json
def make(instance: str, copy: bool, file: Path | None, as_json: bool) -> None:
    """Make a key for INSTANCE, write it to a file that only you may read, and print the public line for the copies."""
    from ..station.signing_keys import COPY_MARK, make_key, write_secret_key

    key = make_key(instance + COPY_MARK if copy else instance)
    path = file or Path(f"{instance}-copy.key" if copy else f"{instance}.key")
    write_secret_key(path, key)
    click.echo(
        f"wrote the secret key to {path}: there set sign_key_file; the line on stdout goes into the file that "
        "trusted_keys names at each copy",
        err=True,
    )
    _print(key.public, as_json)


@command.command(
    "show", short_help="Print a key's public line.", epilog="Example: samesky station key show /etc/samesky/home.key"
)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@_json
def show(file: Path, as_json: bool) -> None:
    """Print the public line of the secret key in FILE, for the copies' trusted_keys."""
    from ..errors import ConfigError
    from ..station.signing_keys import decode_secret_key

    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} can't be read: {error}") from error
    _print(decode_secret_key(text, str(file)).public, as_json)


def _print(key: "PublicKey", as_json: bool) -> None:
    document = {"name": key.name, "key_id": key.key_id, "line": key.line}
    click.echo(json.dumps(document) if as_json else key.line)
