"""A model that a user describes in samesky.toml; every mistake is noted with its table and column.

::

    [push.model]
    name = "rivers"

    [[push.model.table]]
    name = "Station"
    natural_key = ["name"]
    columns = { id = "integer", name = "text(80) required", closed = "time" }
    active_until = "closed"

    [[push.model.table]]
    name = "Level"
    append_only = true
    key = ["time", "stationId"]
    references = { stationId = "Station" }
    columns = { time = "time", stationId = "integer", level = "double" }
"""

from ..config import Findings
from .building import BUILDING
from .model import Model


def read_model(values: object, findings: Findings, *, where: str = "push.model") -> Model:
    """Return the model that ``values`` (the table ``[push.model]``; None: there is none) describe.

    Without one it is the seed's. Mistakes are noted in ``findings``; what is returned then isn't to be used.
    """
    if values is None:
        return BUILDING
    raise NotImplementedError


def check_model(model: Model, findings: Findings, *, where: str = "push.model") -> None:
    """Note in ``findings`` everything for which ``model`` can't be pushed."""
    raise NotImplementedError
