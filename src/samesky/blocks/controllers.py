"""From what the configuration says of a service to its blocks: `open_objects`."""

import secrets
from pathlib import Path

from ..errors import ConfigError
from .blocks_settings import ServiceSettings
from .brewcast import Brewcast
from .json_store import JsonStore
from .objects import Objects
from .spark import Spark
from .spark_2018 import Spark2018


def open_objects(settings: ServiceSettings) -> Objects:
    """Return the blocks of the service; nothing is read yet."""
    match settings.kind:
        case "store":
            return JsonStore(Path(settings.place).expanduser())
        case "2018":
            return Spark2018(settings.place, settings.name)
        case "today":
            return Spark(settings.place, settings.name)
        case "brewcast":
            if settings.broker is None:
                raise ConfigError(f"the broker over which {settings.name} speaks isn't named")
            client_id = f"samesky-{settings.name}-{secrets.token_hex(6)}"  # nothing is kept for it at the broker
            return Brewcast(settings.broker.make_settings(client_id, tls=settings.tls), settings.place)
