"""What the centre answers when it can't do what was asked: `describe_error`; see `link.problems`."""

from ..core.strict import Refused
from ..errors import Locked, SameskyError, Unreachable
from ..link.problems import Problem, describe_refusal, wait_and_retry
from .central_database import MissingParents, Older
from .page import FaultyPage


def describe_error(error: SameskyError) -> Problem:
    """Return the answer to what went wrong at the centre itself; whose words are for its operator's log."""
    match error:
        case FaultyPage():
            errors = [fault.as_dict() for fault in error.faults]
            return Problem(422, "rows", str(error), members={"reason": error.reason.value, "errors": errors})
        case Refused():
            return describe_refusal(error)
        case MissingParents():
            missing = {table: list(ids) for table, ids in error.tables.items()}
            return Problem(409, "parent", str(error), members={"missing": missing})
        case Older():
            return Problem(409, "older", str(error))
        case Unreachable() | Locked():
            return wait_and_retry(503, "busy", "the centre's database can't be used now; what was sent isn't stored")
    return Problem(500, "fault", "the centre's database couldn't do this; its log says why")
