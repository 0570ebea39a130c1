"""The units of usual observations in WeeWX's three unit systems, to be written behind a value."""

from collections.abc import Mapping

from ..station.schema import UNIT_SYSTEMS

_GROUPS: Mapping[str, tuple[str, str, str]] = {
    # US, METRIC, METRICWX
    "temperature": (" °F", " °C", " °C"),
    "pressure": (" inHg", " mbar", " mbar"),
    "speed": (" mph", " km/h", " m/s"),
    "rain": (" in", " cm", " mm"),
    "rate": (" in/h", " cm/h", " mm/h"),
    "percent": (" %", " %", " %"),
    "direction": ("°", "°", "°"),
    "radiation": (" W/m²", " W/m²", " W/m²"),
    "volt": (" V", " V", " V"),
    "concentration": (" µg/m³", " µg/m³", " µg/m³"),
}
_OBSERVATIONS: Mapping[str, str] = {
    **dict.fromkeys(
        ("outTemp", "inTemp", "dewpoint", "windchill", "heatindex", "appTemp", "humidex", "inDewpoint"), "temperature"
    ),
    **{f"extraTemp{number}": "temperature" for number in range(1, 9)},
    **{f"soilTemp{number}": "temperature" for number in range(1, 5)},
    **{f"leafTemp{number}": "temperature" for number in range(1, 3)},
    **dict.fromkeys(("barometer", "pressure", "altimeter"), "pressure"),
    **dict.fromkeys(("windSpeed", "windGust"), "speed"),
    **dict.fromkeys(("windDir", "windGustDir"), "direction"),
    **dict.fromkeys(("rain", "snow", "hail", "ET", "snowDepth"), "rain"),
    **dict.fromkeys(("rainRate", "hailRate", "snowRate"), "rate"),
    **dict.fromkeys(("outHumidity", "inHumidity", "rxCheckPercent", "cloudcover"), "percent"),
    **{f"extraHumid{number}": "percent" for number in range(1, 9)},
    **dict.fromkeys(("radiation", "maxSolarRad"), "radiation"),
    **dict.fromkeys(("consBatteryVoltage", "supplyVoltage", "referenceVoltage", "heatingVoltage"), "volt"),
    **dict.fromkeys(("pm1_0", "pm2_5", "pm10_0"), "concentration"),
}


def find_unit(observation: str, unit_system: int | None) -> str:
    """The unit with a space before it where one belongs; empty where it isn't known."""
    group = _OBSERVATIONS.get(observation)
    systems = list(UNIT_SYSTEMS)
    if group is None or unit_system not in systems:
        return ""
    return _GROUPS[group][systems.index(unit_system)]
