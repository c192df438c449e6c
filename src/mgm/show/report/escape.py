"""Text in a page: it adds no markup, and its control characters and marks of direction are visible."""

import html

from mgm.printable import printable


def escape(text: str) -> str:
    """The text as HTML, also within an attribute. Its lines stay."""
    return html.escape(printable(text, keep="\n"))
