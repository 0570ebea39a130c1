"""Installer that weectl runs: ``weectl extension install samesky-extension.zip``. Written into the zip by `build`."""

import importlib
from io import StringIO
from typing import Any

import configobj
from weecfg.extension import ExtensionInstaller

# weectl keeps this file alone for the day it uninstalls, so the list of files and the stanza are in it.
FILES: list[str] = []
STANZA = ""
SERVICE = "user.samesky.station.weewx_service.MQTTReplicateResponder"


def loader() -> "SameskyInstaller":
    """The installer, as weectl asks for it."""
    return SameskyInstaller()


class SameskyInstaller(ExtensionInstaller):
    """Copies the files, adds the service, and adds the stanza where there is none yet."""

    def __init__(self) -> None:
        super().__init__(
            version="@VERSION@",
            name="samesky",
            description="Keeps copies of WeeWX databases the same as their primary, over MQTT.",
            author="The samesky maintainers",
            restful_services=SERVICE,
            files=[("bin/user", FILES)],
        )

    def configure(self, engine: Any) -> bool:
        """Add the commented stanza, unless there is one: a user's options are never touched."""
        try:
            importlib.import_module("paho.mqtt.client")
        except ImportError:
            print(
                "samesky needs paho-mqtt, which isn't installed here. Install it before weewxd starts:\n"
                "  apt install python3-paho-mqtt      (WeeWX from a Debian package)\n"
                "  pip install paho-mqtt              (in the environment that WeeWX was installed into)"
            )
        if "MQTTReplicate" in engine.config_dict:
            print("The stanza [MQTTReplicate] that is there is kept as it is.")
            return False
        stanza = configobj.ConfigObj(StringIO(STANZA), interpolation=False, encoding="utf-8")
        engine.config_dict.merge(stanza)
        engine.config_dict.comments["MQTTReplicate"] = ["", *stanza.initial_comment]
        return True
