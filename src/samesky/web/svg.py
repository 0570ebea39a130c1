"""Writes SVG: elements with their values escaped, and pictures that say in words what they show.

Looks are classes, so that a picture follows the page's colours, light or dark; a file of its own carries them along.
"""

from html import escape

from .layout import read_file

STYLE = "drawing.css"
_NAMESPACE = "http://www.w3.org/2000/svg"


def element(name: str, /, *children: str, **attributes: object) -> str:
    """An element. ``children`` are markup already; a trailing ``_`` of an attribute's name goes, others become ``-``.

    What is None is left out; numbers lose what nobody sees of them.
    """
    told = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_describe(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    return f"<{name}{told}>{''.join(children)}</{name}>" if children else f"<{name}{told}/>"


def words(text: str, /, **attributes: object) -> str:
    """A text at a place (``x``, ``y``)."""
    return element("text", escape(text), **attributes)


def picture(width: float, height: float, *children: str, title: str, description: str = "", class_: str = "") -> str:
    """A whole picture for a page: it is as wide as there is room, and one image to those who don't see it."""
    return element(
        "svg",
        element("title", escape(title)),
        element("desc", escape(description)) if description else "",
        *children,
        viewBox=f"0 0 {_describe(width)} {_describe(height)}",
        role="img",
        aria_label=title if not description else f"{title}. {description}",
        class_=f"drawing {class_}".strip(),
        focusable="false",
    )


def write_file(width: float, height: float, *children: str, title: str, description: str = "") -> str:
    """A whole SVG file, with the styles in it."""
    style = read_file(STYLE).decode()
    made = element(
        "svg",
        element("title", escape(title)),
        element("desc", escape(description)) if description else "",
        f"<style>{escape(style, quote=False)}</style>",
        element("rect", width=width, height=height, class_="paper"),
        *children,
        xmlns=_NAMESPACE,
        viewBox=f"0 0 {_describe(width)} {_describe(height)}",
        width=width,
        height=height,
        role="img",
        class_="drawing alone",
    )
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{made}\n'


def _describe(value: object) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
