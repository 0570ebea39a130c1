"""What was raised while something was tried, as a finding."""

from ..config import Findings
from ..errors import SameskyError, Unreachable


def note_raised(where: str, error: SameskyError, findings: Findings, unreachable: Findings) -> None:
    """Note ``error`` and what to do about it: in ``unreachable`` if all that is wrong is that nobody answers."""
    note = unreachable if isinstance(error, Unreachable) else findings
    note.error(where, describe_raised(error))


def describe_raised(error: SameskyError) -> str:
    """The words of ``error`` and what to do, as sentences."""
    words, hint = str(error), error.hint
    if not hint:
        return words
    return f"{words}{'' if words[-1:] in '.?!' else '.'} {hint[:1].upper()}{hint[1:]}"
