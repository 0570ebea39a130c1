"""Whether somebody has a file open for writing: a file is complete when its writer has closed it.

The system tells who asks for a lease (fcntl(2)): a read lease is given only where nobody has the file open for
writing. It is given back at once, so that no writer ever waits for us.
"""

import fcntl
import signal

_NO_HARM = signal.SIGURG
"""What the system sends when a writer opens the file in that very moment. Without a handler it does nothing."""


def read_open_for_writing(descriptor: int) -> bool | None:
    """Return whether anybody has the regular file ``descriptor``, opened for reading, open for writing.

    None where the system doesn't tell: on file systems without leases, and of another user's file.
    """
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, _NO_HARM)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except BlockingIOError:
        return True
    except (OSError, AttributeError):  # AttributeError: no Linux
        return None
    fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return False
