"""The one exception tree. Each class carries its exit status, a stable code, and whether waiting may help.

    SameskyError                     the root; never raised itself
    ├── DifferenceFound      status 1  the copies are not the same
    ├── ConfigError          status 2  the configuration or the command line is wrong
    ├── SetupError           status 2  a program or a library that is needed isn't there
    ├── Unreachable          status 3  a peer, the broker or a database can't be reached   (transient)
    ├── DataError            status 4  data is damaged or was refused
    │   └── core.strict.Refused        one input from outside, with its reason
    └── Locked               status 5  somebody else holds the lock                        (transient)

Exit statuses are those of the design: 0 done or the same, 130 interrupted.
"""


class SameskyError(Exception):
    """Root of what samesky raises on purpose; ``str()`` is a sentence for the user, ``hint`` says what to do now."""

    exit_status = 4
    code = "error"
    transient = False

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class DifferenceFound(SameskyError):
    """A comparison ended with at least one difference."""

    exit_status = 1
    code = "different"


class ConfigError(SameskyError):
    """The configuration is wrong; ``problems`` lists every mistake found, one sentence each."""

    exit_status = 2
    code = "config"

    def __init__(self, message: str, *, hint: str = "", problems: tuple[str, ...] = ()) -> None:
        super().__init__(message, hint=hint)
        self.problems = problems or (message,)


class SetupError(SameskyError):
    """A program or library that is needed is missing or too old; ``hint`` says how to get it."""

    exit_status = 2
    code = "setup"


class Unreachable(SameskyError):
    """A peer, the broker or a database server can't be reached now."""

    exit_status = 3
    code = "unreachable"
    transient = True


class DataError(SameskyError):
    """Stored or received data is damaged or was refused."""

    code = "data"


class Locked(SameskyError):
    """Somebody else holds the lock; waiting may help."""

    exit_status = 5
    code = "locked"
    transient = True
