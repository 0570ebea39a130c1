"""Host names -> addresses, without waiting for a name server that doesn't answer."""

import asyncio
import socket
import threading


async def resolve(host: str, port: int) -> list[str]:
    """Return the addresses of ``host``, the preferred first. Raises ``OSError`` when it has none.

    In a daemon thread of its own: an executor's would hold up all others, and in the end the program's exit.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[list[str]] = loop.create_future()

    def tell(addresses: list[str] | None, error: OSError | None) -> None:
        if future.done():  # it was given up
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(addresses or [])

    def run() -> None:
        addresses, failure = None, None
        try:
            addresses = _read_addresses(host, port)
        except (OSError, ValueError) as error:  # UnicodeError, for a name that can't be one, is a ValueError
            failure = error if isinstance(error, OSError) else OSError(str(error))
        try:
            loop.call_soon_threadsafe(tell, addresses, failure)
        except RuntimeError:
            pass  # the loop was closed meanwhile

    threading.Thread(target=run, name=f"samesky-resolve-{host}", daemon=True).start()
    return await future


def _read_addresses(host: str, port: int) -> list[str]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))
