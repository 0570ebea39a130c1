"""The centre's OpenAPI document as a page for people."""

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from ..link import api_page

ACCESS = (
    "Keys travel as <code>Authorization: Bearer KEY</code>, or as the password of Basic"
    " (<code>curl -u site:KEY</code>, a browser). <code>samesky push key add</code> makes them."
)


def render_page(document: Mapping[str, Any]) -> str:
    """Return the page about the OpenAPI document that `api_document` completes."""
    return api_page.render_page(document, access=ACCESS, more=["<h2>Tables</h2>", *_render_tables(document)])


def _render_tables(document: Mapping[str, Any]) -> Iterator[str]:
    for name, schema in document["components"]["schemas"].items():
        if "__table__" in schema.get("properties", {}):
            columns = "".join(
                f"<tr><td><code>{escape(column)}</code><td>{escape(_describe_kind(words))}"
                for column, words in schema["properties"].items()
                if column != "__table__"
            )
            yield f"<details><summary><code>{escape(name)}</code></summary><table>{columns}</table></details>"


def _describe_kind(words: Mapping[str, Any]) -> str:
    kinds = words["type"] if isinstance(words["type"], list) else [words["type"]]
    kind = "time, such as 2026-01-31T23:59:59" if "pattern" in words else kinds[0]
    size = f" of at most {words['maxLength']} characters" if "maxLength" in words else ""
    return f"{kind}{size}{', or null' if 'null' in kinds else ''}"
