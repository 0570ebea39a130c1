"""``[web]`` of samesky.toml: the page."""

from collections.abc import Mapping
from typing import Any

from ..config import Findings
from ..web.web_settings import WebSettings, read_web
from .installation import check_packages

_PACKAGES = {"starlette": "starlette", "uvicorn": "uvicorn", "prometheus_client": "prometheus-client"}


def check_web(tables: Mapping[str, Any], findings: Findings) -> WebSettings | None:
    """Note mistakes in [web]; None when they keep it from being served."""
    own = Findings()
    settings = read_web(tables, own, given={})
    findings.include(own)
    if own.errors or not check_packages("web", _PACKAGES, findings):
        return None
    guarded = "with a token" if settings.token else "without a token"
    findings.tell("web", f"the page: at {settings.listen}, {guarded}")
    return settings
