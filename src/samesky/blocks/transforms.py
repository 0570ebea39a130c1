"""What may be done to a value between a primary and its replica: a short list, applied in this order. Pure.

    default   what is taken when the primary has no such value, or null
    unit      [from, to]: such as degF to degC
    scale     times a number
    offset    plus a number
    clamp     [low, high]: no less, no more; null for no bound
    round     so many digits behind the point
    map       {"Open": "Active"}: one value for another; what isn't in it isn't written

There is no expression language: what is more than this belongs into a controller.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import isfinite
from types import MappingProxyType
from typing import Any, cast

from ..core.strict import Reason, Refused
from .paths import MISSING, Value

MAX_CHOICES = 256
MAX_DIGITS = 15


@dataclass(frozen=True, slots=True)
class _Unit:
    """value * scale + offset is in the unit that all of its ``kind`` have in common."""

    kind: str
    scale: float
    offset: float = 0.0


_UNITS: Mapping[str, _Unit] = MappingProxyType(
    {
        "degC": _Unit("temperature", 1.0),
        "degF": _Unit("temperature", 5 / 9, -160 / 9),
        "degK": _Unit("temperature", 1.0, -273.15),
        "K": _Unit("temperature", 1.0, -273.15),
        "delta_degC": _Unit("difference of temperatures", 1.0),
        "delta_degF": _Unit("difference of temperatures", 5 / 9),
        "Pa": _Unit("pressure", 1.0),
        "hPa": _Unit("pressure", 100.0),
        "mbar": _Unit("pressure", 100.0),
        "kPa": _Unit("pressure", 1000.0),
        "bar": _Unit("pressure", 100_000.0),
        "psi": _Unit("pressure", 6894.757293168),
        "s": _Unit("time", 1.0),
        "second": _Unit("time", 1.0),
        "min": _Unit("time", 60.0),
        "minute": _Unit("time", 60.0),
        "h": _Unit("time", 3600.0),
        "hour": _Unit("time", 3600.0),
    }
)


class Unfit(Exception):
    """A value can't be transformed as its link says; ``str()`` says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Transform:
    """What is done to one value; each None is left out."""

    default: Value = MISSING
    unit: tuple[str, str] | None = None
    scale: float | None = None
    offset: float | None = None
    clamp: tuple[float | None, float | None] | None = None
    digits: int | None = None
    choices: Mapping[str, Value] | None = None

    def apply(self, value: Value) -> Value:
        """Return what ``value`` becomes: a number becomes a finite one. Raises `Unfit`; MISSING stays MISSING."""
        if value is None or value is MISSING:
            value = value if self.default is MISSING else self.default
        if value is None or value is MISSING:
            return value
        if self._is_of_numbers:
            value = self._apply_numbers(value)
        return value if self.choices is None else self._choose(value, self.choices)

    @property
    def _is_of_numbers(self) -> bool:
        return any(each is not None for each in (self.unit, self.scale, self.offset, self.clamp, self.digits))

    def _apply_numbers(self, value: Value) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise Unfit("it isn't a number, which is to be calculated with")
        number: float = value
        if self.unit is not None:
            number = convert(number, *self.unit)
        if self.scale is not None:
            number *= self.scale
        if self.offset is not None:
            number += self.offset
        if self.clamp is not None:
            low, high = self.clamp
            number = number if low is None else max(low, number)
            number = number if high is None else min(high, number)
        if self.digits is not None:
            number = round(number, self.digits)
        if not isfinite(number):
            raise Unfit("it is too large a number")
        return number

    def _choose(self, value: Value, choices: Mapping[str, Value]) -> Value:
        name = _name_choice(value)
        if name not in choices:
            raise Unfit("it isn't among those that are mapped")
        return choices[name]


def convert(number: float, from_unit: str, to_unit: str) -> float:
    """Return ``number``, which is in ``from_unit``, in ``to_unit``; both are known and of one kind."""
    old, new = _UNITS[from_unit], _UNITS[to_unit]
    return (number * old.scale + old.offset - new.offset) / new.scale


def decode_transform(told: object) -> Transform:
    """Return the transform that the object ``told`` describes; raises ``Refused`` naming the wrong part."""
    if not isinstance(told, dict) or not told:
        raise Refused(Reason.SHAPE, f"a transform must be an object with one or more of {', '.join(_DECODERS)}")
    unknown = [name for name in told if name not in _DECODERS]
    if unknown:
        raise Refused(Reason.COLUMN, f"a transform has one of {', '.join(_DECODERS)}, and nothing else")
    fields: dict[str, Any] = {_FIELDS.get(name, name): _DECODERS[name](value) for name, value in told.items()}
    return Transform(**fields)


def encode_transform(transform: Transform) -> dict[str, object]:
    """Return the object that `decode_transform` takes back to an equal one."""
    told: dict[str, object] = {}
    for name in _DECODERS:
        value = getattr(transform, _FIELDS.get(name, name))
        if value is not None and value is not MISSING:
            told[name] = list(value) if isinstance(value, tuple) else dict(value) if name == "map" else value
    return told


def _name_choice(value: Value) -> str:
    """How a value is spelt as a key of ``map``, whose keys are texts: true, 3 and 2.5 as JSON has them."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict | list):
        raise Unfit("it is an object or a list, which can't be mapped")
    return value if isinstance(value, str) else repr(value)


def _decode_number(told: object) -> float:
    if isinstance(told, bool) or not isinstance(told, int | float) or not isfinite(told):
        raise Refused(Reason.TYPE, "scale, offset and the bounds of clamp must be numbers")
    return told


def _decode_default(told: object) -> Value:
    if told is None or isinstance(told, dict | list):
        raise Refused(Reason.TYPE, "a default must be a number, a text, true or false")
    return told


def _decode_unit(told: object) -> tuple[str, str]:
    if not isinstance(told, list) or len(told) != 2 or not all(isinstance(name, str) for name in told):
        raise Refused(Reason.TYPE, "unit must be a list of two: from which, and to which")
    old, new = (_UNITS.get(name) for name in told)
    if old is None or new is None:
        raise Refused(Reason.NAME, f"unit knows {', '.join(_UNITS)}")
    if old.kind != new.kind:
        raise Refused(Reason.TYPE, f"a {old.kind} can't be given in the unit of a {new.kind}")
    return told[0], told[1]


def _decode_clamp(told: object) -> tuple[float | None, float | None]:
    if not isinstance(told, list) or len(told) != 2 or told == [None, None]:
        raise Refused(Reason.TYPE, "clamp must be a list of two: the lowest, and the highest; null for none")
    low, high = (None if bound is None else _decode_number(bound) for bound in told)
    if low is not None and high is not None and low > high:
        raise Refused(Reason.RANGE, "the lowest of clamp is above the highest")
    return low, high


def _decode_digits(told: object) -> int:
    if type(told) is not int or not 0 <= told <= MAX_DIGITS:
        raise Refused(Reason.RANGE, f"round must be a whole number from 0 to {MAX_DIGITS}")
    return told


def _decode_choices(told: object) -> Mapping[str, Value]:
    if not isinstance(told, dict) or not 0 < len(told) <= MAX_CHOICES:
        raise Refused(Reason.SHAPE, f"map must be an object with 1 to {MAX_CHOICES} members")
    if any(isinstance(value, dict | list) or value is None for value in told.values()):
        raise Refused(Reason.TYPE, "what map maps to must be numbers, texts, true or false")
    return MappingProxyType(dict(cast(dict[str, Value], told)))


_DECODERS: Mapping[str, Callable[[object], object]] = MappingProxyType(
    {
        "default": _decode_default,
        "unit": _decode_unit,
        "scale": _decode_number,
        "offset": _decode_number,
        "clamp": _decode_clamp,
        "round": _decode_digits,
        "map": _decode_choices,
    }
)
_FIELDS: Mapping[str, str] = MappingProxyType({"round": "digits", "map": "choices"})
"""Names of fields where they can't be those of the wire: both are functions of Python."""
