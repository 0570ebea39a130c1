"""Free ports on the loopback interface."""

from samesky.link.child_process import find_free_port


def free_port() -> int:
    """A TCP port on 127.0.0.1 that nobody has, and that nobody else gets soon."""
    return find_free_port()
