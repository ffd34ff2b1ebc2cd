"""A link as a QR code."""

from __future__ import annotations

from markupsafe import Markup

from counterfeit.system.console import decoration


def svg(text: str) -> Markup:
    """The QR code of a text as SVG of any size, dark on white in any scheme; empty if it cannot be drawn."""
    with decoration("the QR code"):
        import segno

        drawn = segno.make(text, micro=False, error="m")
        return Markup(drawn.svg_inline(border=4, dark="#000", light="#fff", omitsize=True))
    return Markup("")
