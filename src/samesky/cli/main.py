"""The command `samesky`: finds the subcommand, runs it, and turns the way it ended into words and an exit status.

0  done, or the same                      5   somebody else holds the lock
1  a difference was found                 70  a fault of samesky itself (never 1, which means "different")
2  usage, configuration or set-up         130 interrupted
3  a peer or the broker can't be reached  141 the reader of the output has gone
4  data damaged or refused                143 ended by SIGTERM
"""

import logging
import os
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from types import FrameType

import click

from .. import __version__
from ..errors import ConfigError, SameskyError
from .command_files import CommandFiles
from .plain_text import allow_any_encoding

STATUS_USAGE = 2
STATUS_UNREACHABLE = 3
STATUS_DATA = 4
STATUS_FAULT = 70
STATUS_INTERRUPTED = 130
STATUS_BROKEN_PIPE = 128 + signal.SIGPIPE
STATUS_TERMINATED = 128 + signal.SIGTERM

LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s %(message)s"


@click.command(
    "samesky",
    cls=CommandFiles,
    names=("demo", "station", "mesh", "push", "blocks", "web", "check", "verify", "repair", "status"),
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Example: samesky demo --seconds 60",
)
@click.version_option(__version__, prog_name="samesky")
@click.option("-v", "--verbose", count=True, help="Say more on standard error; twice for everything.")
def samesky(verbose: int) -> None:
    """Keep the same observations on every machine that needs them, and prove that they are the same."""
    level = (logging.WARNING, logging.INFO, logging.DEBUG)[min(verbose, 2)]
    logging.basicConfig(level=level, format=LOG_FORMAT, stream=sys.stderr)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line ``arguments`` (default: the process's own); returns the exit status.

    Raises SystemExit on SIGTERM alone.
    """
    signal.signal(signal.SIGTERM, _end_orderly)
    allow_any_encoding()
    return run(lambda: _invoke(sys.argv[1:] if arguments is None else arguments))


def run(command: Callable[[], object]) -> int:
    """Call ``command`` and return the exit status of the way it ended; what went wrong is told on standard error.

    An int that ``command`` returns is its status; anything else it returns is success.
    """
    try:
        outcome = command()
        sys.stdout.flush()
    except click.exceptions.Exit as error:
        return error.exit_code
    except SameskyError as error:
        return _tell(error)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        print("samesky: interrupted", file=sys.stderr)
        return STATUS_INTERRUPTED
    except BrokenPipeError:
        return _leave_pipe()
    except OSError as error:
        return _tell_system(error)
    except Exception:
        return _tell_fault()
    return outcome if isinstance(outcome, int) else 0


def _invoke(arguments: Sequence[str]) -> object:
    """As click's own main() does, but a reader that has gone isn't made status 1, which here means "different"."""
    with samesky.make_context("samesky", list(arguments)) as context:
        return samesky.invoke(context)


def _tell(error: SameskyError) -> int:
    lines = [f"samesky: {error}"]
    if isinstance(error, ConfigError):  # the sentence itself may hold one of them already
        lines += [f"  - {problem}" for problem in error.problems if not str(error).endswith(problem)]
    if error.hint:
        lines.append(f"  what to do: {error.hint}")
    _print_error("\n".join(lines))
    return error.exit_status


def _tell_system(error: OSError) -> int:
    """What the operating system refused is for the user to mend, so it's told in a sentence."""
    where = f": {error.filename}" if error.filename else ""
    _print_error(f"samesky: {error.strerror or error}{where}")
    match error:
        case ConnectionError() | TimeoutError():
            return STATUS_UNREACHABLE
        case FileNotFoundError() | FileExistsError() | PermissionError() | NotADirectoryError() | IsADirectoryError():
            return STATUS_USAGE
        case _:
            return STATUS_DATA


def _tell_fault() -> int:
    traceback.print_exc()
    print("samesky: this is a fault in samesky; please report it with the lines above", file=sys.stderr)
    return STATUS_FAULT


def _print_error(text: str) -> None:
    if logging.getLogger().isEnabledFor(logging.DEBUG):
        traceback.print_exc()
    print(text, file=sys.stderr)


def _leave_pipe() -> int:
    """Whoever read our output has gone (`samesky … | head`): stop quietly; Python's own last flush goes nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return STATUS_BROKEN_PIPE


def _end_orderly(signum: int, frame: FrameType | None) -> None:
    """On SIGTERM unwind the stack, so that context managers end the processes and files that they opened."""
    raise SystemExit(STATUS_TERMINATED)
