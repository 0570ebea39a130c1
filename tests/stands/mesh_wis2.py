"""WIS2's published schema and examples, which lie beside the repository in ``shared/data/wis2`` and aren't copied."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, FormatChecker

FOLDER = Path(__file__).resolve().parents[3] / "shared" / "data" / "wis2"
EXAMPLES = sorted((FOLDER / "examples").glob("*.json"))


def require_folder() -> None:
    """Skip the test where the schema isn't; in CI it has to be."""
    if not FOLDER.is_dir() and "CI" not in os.environ:
        pytest.skip(f"WIS2's schema isn't in {FOLDER}")


def make_validator() -> Draft202012Validator:
    """A validator of messages by the schema, formats included."""
    require_folder()
    schema = json.loads((FOLDER / "wis2-notification-message-bundled.json").read_text())
    return Draft202012Validator(schema, format_checker=FormatChecker())


def read_example(name: str) -> dict[str, Any]:
    """One of the published examples."""
    require_folder()
    return json.loads((FOLDER / "examples" / name).read_text())
