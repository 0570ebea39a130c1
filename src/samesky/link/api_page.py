"""The OpenAPI document as a page for people: plain HTML that needs nothing from elsewhere."""

import json
from collections.abc import Iterable, Iterator, Mapping
from html import escape
from typing import Any

HEADERS = {"content-security-policy": "default-src 'none'; style-src 'unsafe-inline'", "cache-control": "no-cache"}
_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 56rem; margin: 2rem auto; padding: 0 1rem; }
summary { cursor: pointer; padding: .3rem 0; }
code, pre { font-family: ui-monospace, monospace; font-size: .9em; }
pre { background: #8881; padding: .6rem; white-space: pre-wrap; }
table { border-collapse: collapse; } td { padding: .1rem 1rem .1rem 0; vertical-align: top; }
details { border-bottom: 1px solid #8884; } details > :not(summary) { margin-left: 1rem; }
:root { color-scheme: light dark; }
"""


def render_page(document: Mapping[str, Any], *, access: str, more: Iterable[str] = ()) -> str:
    """Return the page about an OpenAPI document; ``access`` says who may ask, ``more`` comes at the end, both HTML."""
    info = document["info"]
    return "\n".join(
        [
            f"<!doctype html><html lang=en><meta charset=utf-8><title>{escape(info['title'])}</title>",
            "<meta name=viewport content='width=device-width'>",
            f"<style>{_STYLE}</style><h1>{escape(info['title'])} {escape(info['version'])}</h1>",
            f"<p>{escape(info.get('summary', ''))} For programs: <a href=openapi.json>openapi.json</a>.</p>",
            f"<p>{access}</p>",
            *_render_routes(document),
            *more,
            "</html>",
        ]
    )


def _render_routes(document: Mapping[str, Any]) -> Iterator[str]:
    tags: dict[str, list[str]] = {}
    for path, routes in document["paths"].items():
        for method, route in routes.items():
            tags.setdefault(route.get("tags", [""])[0], []).append(_render_route(method, path, route))
    for tag, rendered in tags.items():
        yield f"<h2>/{escape(tag)}</h2>"
        yield from rendered


def _render_route(method: str, path: str, route: Mapping[str, Any]) -> str:
    head = f"<code>{method.upper()} {escape(path)}</code> {escape(route['summary'])}"
    parts = [f"<p>{_render_text(route['description'])}</p>"] if route.get("description") else []
    parts += [_render_parameters(route["parameters"])] if route.get("parameters") else []
    for media_type, body in route.get("requestBody", {}).get("content", {}).items():
        parts.append(f"<p>Body: <code>{escape(media_type)}</code></p>{_render_example(body['schema'])}")
    answers = ((status, answer.get("description", "")) for status, answer in route["responses"].items())
    rows = "".join(f"<tr><td>{escape(status)}<td>{_render_text(words)}" for status, words in answers)
    return f"<details><summary>{head}</summary>{''.join(parts)}<table>{rows}</table></details>"


def _render_parameters(parameters: list[Mapping[str, Any]]) -> str:
    rows = (
        f"<tr><td><code>{escape(each['name'])}</code><td>{_render_text(each.get('description', ''))}"
        for each in parameters
    )
    return f"<table>{''.join(rows)}</table>"


def _render_example(schema: Mapping[str, Any]) -> str:
    examples = schema.get("examples", [])
    return f"<pre>{escape(json.dumps(examples[0]))}</pre>" if examples else ""


def _render_text(text: str) -> str:
    """``text`` with what stands between backticks as code."""
    pieces = escape(text).split("`")
    return "".join(f"<code>{piece}</code>" if place % 2 else piece for place, piece in enumerate(pieces))
