"""Plausible weather, day by day: seasons, day cycle, fronts, wind, rain, a sensor that fails now and then.

Everything follows from the seed, the times and the column names. Quantities are made in °C, hPa, m/s and mm, then given
in the unit system that is asked for, at the resolution of a usual station; what a station derives keeps every digit.
"""

import math
import random
from collections.abc import Sequence
from typing import Any

Series = Sequence[float | None]

US, METRIC, METRICWX = 1, 16, 17
_LATITUDE = math.radians(47.0)
_TURN_PER_H = 2 * math.pi / 24
_YEAR_DAYS = 365.2425
_MAGNUS_A, _MAGNUS_B = 17.62, 243.12

# Quantity -> unit system -> (factor, offset) from °C, hPa, m/s, mm, mm/h, m and km.
_UNITS: dict[str, dict[int, tuple[float, float]]] = {
    "temperature": {US: (1.8, 32.0)},
    "pressure": {US: (1 / 33.86389, 0.0)},
    "speed": {US: (3600 / 1609.344, 0.0), METRIC: (3.6, 0.0)},
    "length": {US: (1 / 25.4, 0.0), METRIC: (0.1, 0.0)},
    "altitude": {US: (1 / 0.3048, 0.0)},
    "distance": {US: (1 / 1.609344, 0.0)},
}
_NAMES = {
    "temperature": """outTemp inTemp extraTemp1 soilTemp1 dewpoint inDewpoint windchill heatindex humidex appTemp""",
    "pressure": "barometer pressure altimeter",
    "speed": "windSpeed windGust",
    "length": "rain rainRate ET",
    "altitude": "cloudbase",
    "distance": "windrun",
}
_QUANTITIES = {name: quantity for quantity, names in _NAMES.items() for name in names.split()}
# Digits after the point that a sensor gives, in US and in metric units. Columns that aren't named keep every digit.
_DIGITS = {
    "outTemp": (1, 1),
    "inTemp": (1, 1),
    "extraTemp1": (1, 1),
    "soilTemp1": (0, 0),
    "outHumidity": (0, 0),
    "inHumidity": (0, 0),
    "barometer": (3, 1),
    "radiation": (0, 0),
    "UV": (1, 1),
    "ET": (3, 2),
    "windSpeed": (0, 1),
    "windGust": (0, 1),
    "windDir": (0, 0),
    "windGustDir": (0, 0),
    "rain": (2, 2),
    "rainRate": (2, 2),
    "rxCheckPercent": (0, 0),
    "consBatteryVoltage": (2, 2),
}
_INDOOR = frozenset(("inTemp", "inHumidity", "inDewpoint", "barometer", "pressure", "altimeter", "consBatteryVoltage"))
_WORDS = ("good", "fair", "moderate", "poor", None)


class Hourly:
    """Chance with a memory of ``memory_h`` hours: standard normal at every full hour, linear in between."""

    def __init__(self, rng: random.Random, memory_h: float) -> None:
        self._rng = rng
        self._keep = math.exp(-1.0 / memory_h)
        self._push = math.sqrt(1.0 - self._keep**2)
        self._hour = 0
        self._values: list[float] = []

    def at(self, times: Sequence[int]) -> list[float]:
        """Values at ``times`` (epoch seconds, rising, never before those of an earlier call)."""
        first, last = times[0] // 3600, times[-1] // 3600 + 1
        if not self._values:
            self._hour, self._values = first, [self._rng.gauss(0.0, 1.0)]
        while self._hour + len(self._values) <= last:
            self._values.append(self._values[-1] * self._keep + self._rng.gauss(0.0, 1.0) * self._push)
        del self._values[: first - self._hour]
        self._hour = first
        steps = self._values
        return [steps[(h := t // 3600 - first)] + (steps[h + 1] - steps[h]) * (t % 3600) / 3600 for t in times]


class Weather:
    """The weather of one place. Ask for days in order; each answer is column name -> one value a time."""

    def __init__(
        self, columns: Sequence[tuple[str, str]], *, seed: int, unit_system: int, interval_s: int, fill: bool
    ) -> None:
        """``fill`` gives columns that aren't known here a slowly changing value as well; else they stay away."""
        self._rng = random.Random(seed)
        self._unit_system = unit_system
        self._interval_s = interval_s
        self._wanted = frozenset(name for name, _ in columns)
        self._front, self._cloud, self._damp, self._pressure, self._breeze, self._turn = (
            Hourly(self._rng, memory_h) for memory_h in (60, 9, 12, 50, 7, 15)
        )
        self._rain_left_mm = 0.0
        self._thick: list[float] = []
        self._days = 0
        self._others = [(name, kind, Hourly(self._rng, 10)) for name, kind in columns if fill]

    def day(self, day_start: int, times: Sequence[int]) -> dict[str, Series]:
        """Values for ``times``, all in the archive day that begins at ``day_start``; empty columns stay out."""
        self._days += 1
        hours = [(t - day_start) / 3600 for t in times]
        made = self._air(day_start, hours, times)
        made |= self._wind(hours, times)
        made |= self._rain(times)
        made |= self._inside(hours)
        self._derive(made)
        known = {name: self._measured(name, values) for name, values in made.items() if name in self._wanted}
        self._fail(known, len(times))
        others = ((name, kind, chance) for name, kind, chance in self._others if name not in made)
        return known | {name: self._other(name, kind, chance, times) for name, kind, chance in others}

    # ------------------------------------------------------------------ what there is to measure

    def _air(self, day_start: int, hours: list[float], times: Sequence[int]) -> dict[str, Series]:
        angle = 2 * math.pi * (day_start / 86400 + 10.5) / _YEAR_DAYS  # 0 at the winter solstice
        tilt = math.radians(-23.44) * math.cos(angle)
        low, high = math.sin(_LATITUDE) * math.sin(tilt), math.cos(_LATITUDE) * math.cos(tilt)
        mean = 9.5 - 10.5 * math.cos(angle - 0.48)
        chance = self._rng.random
        self._thick = [0.55 + 0.5 * value for value in self._cloud.at(times)]
        clouds = [min(1.0, max(0.0, value)) for value in self._thick]
        sun = [max(0.0, low - high * math.cos(hour * _TURN_PER_H)) for hour in hours]
        temperature = [
            mean + 4.2 * front - (1.2 + 3.6 * (1 - cloud)) * math.cos((hour - 3) * _TURN_PER_H) + 0.3 * chance()
            for front, cloud, hour in zip(self._front.at(times), clouds, hours, strict=True)
        ]
        dew = [
            value - max(0.3, 3.2 + 2.4 * damp + 0.45 * (value - mean))
            for damp, value in zip(self._damp.at(times), temperature, strict=True)
        ]
        barometer = [1015.0 + 8.5 * value for value in self._pressure.at(times)]
        clear = [1040 * value**1.15 for value in sun]
        return {
            "outTemp": temperature,
            "dewpoint": dew,
            "outHumidity": [100 * _vapour(d) / _vapour(t) for t, d in zip(temperature, dew, strict=True)],
            "barometer": barometer,
            "pressure": [value * 0.9623 for value in barometer],
            "altimeter": [value * 1.0004 for value in barometer],
            "radiation": [value * (1 - 0.72 * cloud) for value, cloud in zip(clear, clouds, strict=True)],
            "maxSolarRad": clear,
            "UV": [12.0 * value**2.3 * (1 - 0.55 * cloud) for value, cloud in zip(sun, clouds, strict=True)],
            "ET": [0.45 * value if t % 3600 == 0 else 0.0 for value, t in zip(sun, times, strict=True)],
        }

    def _wind(self, hours: list[float], times: Sequence[int]) -> dict[str, Series]:
        chance = self._rng.random
        speed = [
            max(0.0, 1.9 + 1.8 * value - 0.9 * math.cos((hour - 2) * _TURN_PER_H) + chance())
            for value, hour in zip(self._breeze.at(times), hours, strict=True)
        ]
        direction = [(240 + 65 * value + 40 * chance()) % 360 for value in self._turn.at(times)]
        calm = [None if value < 0.3 else angle for value, angle in zip(speed, direction, strict=True)]
        return {
            "windSpeed": [0.0 if value < 0.3 else value for value in speed],
            "windDir": calm,
            "windGust": [0.0 if value < 0.3 else value * (1.25 + 0.9 * chance()) for value in speed],
            "windGustDir": [None if angle is None else (angle + 50 * (chance() - 0.5)) % 360 for angle in calm],
            "windrun": [value * self._interval_s / 1000 for value in speed],
        }

    def _rain(self, times: Sequence[int]) -> dict[str, Series]:
        tip_mm = 0.254 if self._unit_system == US else 0.2
        rain: list[float] = []
        rate: list[float] = []
        for thick, damp in zip(self._thick, self._damp.at(times), strict=True):
            over = max(0.0, thick - 1.05)
            falling = over * (1 + 5 * over) * max(0.0, 1.3 - damp) * (0.2 + 0.9 * self._rng.random())
            self._rain_left_mm += falling * self._interval_s / 3600
            tips = int(self._rain_left_mm / tip_mm)
            self._rain_left_mm -= tips * tip_mm
            rain.append(tips * tip_mm)
            rate.append(falling if tips else 0.0)
        return {"rain": rain, "rainRate": rate}

    def _inside(self, hours: list[float]) -> dict[str, Series]:
        chance = self._rng.random
        soil = 9.5 - 8 * math.cos(2 * math.pi * self._days / _YEAR_DAYS)
        count = len(hours)
        return {
            "inTemp": [20.6 - 1.1 * math.cos((hour - 4) * _TURN_PER_H) + 0.2 * chance() for hour in hours],
            "inHumidity": [42 + 4 * chance() for _ in hours],
            "extraTemp1": [4.0 + 0.8 * chance() for _ in hours] if self._days > 60 else [None] * count,
            "soilTemp1": [soil + 0.3 * chance() for _ in hours],
            "rxCheckPercent": [100 - 9 * chance() ** 3 for _ in hours],
            "consBatteryVoltage": [4.7 + 0.03 * chance() for _ in hours],
            "txBatteryStatus": [0.0] * count,
        }

    def _derive(self, made: dict[str, Series]) -> None:
        sets = [*zip(*(made[name] for name in ("outTemp", "dewpoint", "windSpeed")), strict=True)]
        rows = [(t, d, w, _vapour(d)) for t, d, w in sets if t is not None and d is not None and w is not None]
        made["windchill"] = [_wind_chill(t, w) for t, _, w, _ in rows]
        made["heatindex"] = [t if t < 26.7 else t + 0.33 * e - 6.2 for t, _, _, e in rows]
        made["humidex"] = [max(t, t + 0.5555 * (e - 10)) for t, _, _, e in rows]
        made["appTemp"] = [t + 0.33 * e - 0.7 * w - 4.0 for t, _, w, e in rows]
        made["cloudbase"] = [125 * (t - d) + 320 for t, d, _, _ in rows]
        inside = zip(made["inTemp"], made["inHumidity"], strict=True)
        made["inDewpoint"] = [_dew_point(t, h) for t, h in inside if t is not None and h is not None]

    # ------------------------------------------------------------------ how it is measured

    def _measured(self, name: str, values: Series) -> Series:
        factor, offset = _UNITS.get(_QUANTITIES.get(name, ""), {}).get(self._unit_system, (1.0, 0.0))
        if factor != 1.0:
            values = [None if value is None else value * factor + offset for value in values]
        digits = _DIGITS.get(name, (None, None))[self._unit_system != US]
        if digits is None:
            return values
        return [None if value is None else round(value, digits) for value in values]

    def _fail(self, known: dict[str, Series], count: int) -> None:
        """One day in forty the outdoor sensors can't be heard for a while: NULLs."""
        if self._rng.random() < 0.975 or count < 3:
            return
        begin = self._rng.randrange(count)
        end = min(count, begin + self._rng.randint(1, count // 3 + 1))
        for name in known.keys() - _INDOOR:
            known[name] = [*known[name][:begin], *[None] * (end - begin), *known[name][end:]]

    def _other(self, name: str, kind: str, chance: Hourly, times: Sequence[int]) -> Sequence[Any]:
        level = 1 + sum(map(ord, name)) % 40
        values = [level * math.exp(0.5 * value) for value in chance.at(times)]
        if "INT" in kind.upper():
            return [round(value) for value in values]
        if "CHAR" in kind.upper() or "TEXT" in kind.upper():
            return [_WORDS[int(value) % len(_WORDS)] for value in values]
        return [round(value, 2) for value in values]


def _vapour(dew_point: float) -> float:
    """Vapour pressure in hPa at a dew point in °C (Magnus)."""
    return 6.112 * math.exp(_MAGNUS_A * dew_point / (_MAGNUS_B + dew_point))


def _dew_point(temperature: float, humidity: float) -> float:
    gamma = math.log(humidity / 100) + _MAGNUS_A * temperature / (_MAGNUS_B + temperature)
    return _MAGNUS_B * gamma / (_MAGNUS_A - gamma)


def _wind_chill(temperature: float, speed: float) -> float:
    """Wind chill in °C (the formula of 2001); the temperature itself where the formula doesn't hold."""
    if temperature > 10 or speed < 1.34:
        return temperature
    factor = math.pow(speed * 3.6, 0.16)
    return 13.12 + 0.6215 * temperature - 11.37 * factor + 0.3965 * temperature * factor
