"""`samesky blocks serve`: the links of a configuration, and the REST interface to them, on one event loop."""

import asyncio
import fcntl
import secrets
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from ..core.status import Snapshot
from ..errors import ConfigError, Locked, SameskyError
from ..link.web_server import serve
from .api import make_app
from .blocks_settings import BlocksSettings
from .carriers import AmqpCarrier, CarrierLink
from .controllers import open_objects
from .links import Carrier
from .mqtt_carrier import MqttCarrier
from .registry import Registry
from .service import Synchronising

TELL_INTERVAL_S = 1.0


def serve_blocks(
    settings: BlocksSettings,
    listening: socket.socket,
    *,
    started: Callable[[], None] = lambda: None,
    on_turn: Callable[[], None] = lambda: None,
    tell: Callable[[Sequence[Snapshot]], None] = lambda _: None,
) -> None:
    """Run all links and serve until SIGINT or SIGTERM; ``started`` and ``on_turn`` are those of `serve`.

    ``tell`` is told once a second how the links are doing. Raises `Locked` when another process runs the same links,
    and what `Registry` raises.
    """
    failures: list[SameskyError] = []

    @asynccontextmanager
    async def run() -> AsyncIterator[Synchronising]:
        try:
            async with _make_service(settings, registry) as service, _telling(service, tell):
                yield service
        except SameskyError as error:
            failures.append(error)  # uvicorn keeps it for itself
            raise

    with _only_here(settings.state), Registry(settings.state) as registry:
        names = [each.name for each in settings.services]
        app = make_app(run, services=names, token=settings.token)
        serve(app, listening, started=started, on_turn=on_turn)
    if failures:
        raise failures[0]


@asynccontextmanager
async def _telling(service: Synchronising, tell: Callable[[Sequence[Snapshot]], None]) -> AsyncIterator[None]:
    async def tell_for_ever() -> None:
        while True:
            tell(service.snapshots())
            await asyncio.sleep(TELL_INTERVAL_S)

    task = asyncio.create_task(tell_for_ever(), name="samesky-blocks-status")
    try:
        yield
    finally:
        task.cancel()


def _make_service(settings: BlocksSettings, registry: Registry) -> Synchronising:
    return Synchronising(
        registry,
        objects={each.name: open_objects(each) for each in settings.services},
        carriers=dict(_open_carriers(settings)),
        may_write=settings.may_write,
    )


def _open_carriers(settings: BlocksSettings) -> Iterator[tuple[Carrier, CarrierLink]]:
    if settings.amqp is not None:
        yield "amqp", AmqpCarrier(settings.amqp)
    if settings.mqtt is not None:
        client_id = f"samesky-blocks-{secrets.token_hex(6)}"  # nothing is kept for it at the broker
        mqtt = settings.mqtt.make_settings(client_id, tls=settings.tls, session_expiry_s=0)
        yield "mqtt", MqttCarrier(mqtt, prefix=settings.exchange)


@contextmanager
def _only_here(state: Path) -> Iterator[None]:
    """Two processes that run the same links would broadcast everything twice."""
    try:
        state.parent.mkdir(parents=True, exist_ok=True)
        file = state.with_name(f".{state.name}.lock").open("a")
    except OSError as error:
        raise ConfigError(
            f"{state.parent} can't be written: {error.strerror}", hint="choose another --state"
        ) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Locked(
                f"the links in {state} are run by another process", hint="end that one, or choose another --state"
            ) from None
        yield
