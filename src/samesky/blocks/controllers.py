"""From what the configuration says of a service to its blocks: `open_objects`."""

from pathlib import Path

from .blocks_settings import ServiceSettings
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
