"""Parts of a page as HTML: one small function per part. Everything is inline, all text is escaped, nothing is fetched."""

import base64
import re
from io import BytesIO

from PIL import Image, UnidentifiedImageError

from mgm.show.report.charts import curve_svg, interval_svg
from mgm.show.report.elements import (
    Animation,
    Cell,
    Code,
    Column,
    CurveChart,
    FactList,
    IntervalChart,
    Legend,
    Matrix,
    PageSection,
    Picture,
    SectionPart,
    Strip,
    Table,
    Text,
)
from mgm.show.report.escape import escape

_MIME = {"PNG": "image/png", "WEBP": "image/webp", "GIF": "image/gif", "JPEG": "image/jpeg"}
_WIDE, _NARROW = 860, 340


def section_html(section: PageSection, anchor: str) -> str:
    """A section with its heading; `anchor` is its id on the page."""
    lead = f'<p class="lead">{escape(section.lead)}</p>' if section.lead else ""
    parts = "\n".join(part_html(part) for part in section.parts)
    name = escape(anchor)
    return (
        f'<section id="{name}" aria-labelledby="{name}-title">\n'
        f'<h2 id="{name}-title">{escape(section.title)}</h2>\n{lead}\n{parts}\n</section>'
    )


def anchors(titles: list[str]) -> list[str]:
    """Ids for the titles of a page: letters and digits joined by hyphens, numbered to be unique."""
    made: list[str] = []
    for title in titles:
        base = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-") or "section"
        name, k = base, 2
        while name in made:
            name, k = f"{base}-{k}", k + 1
        made.append(name)
    return made


def part_html(part: SectionPart) -> str:
    """Any part as HTML."""
    match part:
        case Text():
            return _text(part)
        case Code():
            return f'<pre tabindex="0"><code>{escape(part.text)}</code></pre>'
        case FactList():
            return _facts(part)
        case Picture():
            return f"<figure>{_img(part.image, part.alt)}{_caption(part.caption, part.legend)}</figure>"
        case Animation():
            return _animation(part)
        case Strip():
            return _strip(part)
        case Table():
            return _table(part)
        case Matrix():
            return _matrix(part)
        case CurveChart():
            wide, narrow = curve_svg(part, width=_WIDE, height=340), curve_svg(part, width=_NARROW, height=260)
            return _chart(wide, narrow, part.caption)
        case IntervalChart():
            return _chart(interval_svg(part, width=_WIDE), interval_svg(part, width=_NARROW), part.caption)


def _animation(part: Animation) -> str:
    """The moving picture and its still twin; the style sheet shows one of them."""
    labels = "".join(f"<span>{escape(label)}</span>" for label in part.panels)
    return (
        '<figure class="film">'
        + _img(part.image, part.alt, kind="moving")
        + _img(part.still, part.alt, kind="still")
        + f'<div class="panels" aria-hidden="true" style="--n:{max(1, len(part.panels))}">{labels}</div>'
        + _caption(part.caption, part.legend)
        + '<label class="hold"><input type="checkbox"> Hold still</label></figure>'
    )


def _text(part: Text) -> str:
    return "\n".join(f"<p>{escape(words.strip())}</p>" for words in part.text.split("\n\n") if words.strip())


def _facts(part: FactList) -> str:
    rows = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in part.facts)
    return f'<dl class="facts">{rows}</dl>'


def _img(image: bytes, alt: str, *, kind: str = "") -> str:
    try:
        with Image.open(BytesIO(image)) as opened:
            (width, height), mime = opened.size, _MIME[opened.format or ""]
    except (UnidentifiedImageError, KeyError) as error:
        raise ValueError(
            f"picture {alt!r}: the bytes are not PNG, WebP, GIF or JPEG; encode it with encode_image"
        ) from error
    data = base64.b64encode(image).decode("ascii")
    name = f' class="{kind}"' if kind else ""
    return f'<img{name} src="data:{mime};base64,{data}" width="{width}" height="{height}" alt="{escape(alt)}">'


def _caption(words: str, legend: Legend | None) -> str:
    text = f"<p>{escape(words)}</p>" if words else ""
    wheel = f'<p class="legend">{_img(legend.image, "")}<span>{escape(legend.text)}</span></p>' if legend else ""
    return f"<figcaption>{text}{wheel}</figcaption>" if text or wheel else ""


def _strip(part: Strip) -> str:
    rows = "".join(
        f'<div class="row-label">{escape(row.label)}</div><div class="row">{_img(row.image, row.alt)}</div>'
        for row in part.rows
    )
    moments = "".join(f"<span>{escape(moment)}</span>" for moment in part.moments)
    foot = (
        f'<div class="row-label"></div><div class="moments" style="--n:{len(part.moments)}">{moments}</div>'
        if moments
        else ""
    )
    return (
        f'<figure class="strip"><div class="reel" role="group" aria-label="Film strip" tabindex="0">{rows}{foot}</div>'
        f"{_caption(part.caption, part.legend)}</figure>"
    )


def _table(part: Table) -> str:
    head = "".join(_column(column) for column in part.columns)
    rows = "\n".join(_row(row, part) for row in part.rows)
    caption = f"<caption>{escape(part.caption)}</caption>" if part.caption else ""
    name = escape(part.caption or part.columns[0].name)
    return (
        f'<div class="scroll" role="region" aria-label="{name}" tabindex="0"><table>{caption}'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}\n</tbody></table></div>"
    )


def _matrix(part: Matrix) -> str:
    """Names of columns stand upright; the caption and the axes are text, so that nothing depends on the shades."""
    head = "".join(f'<th scope="col"><span>{escape(name)}</span></th>' for name in part.names)
    rows = "".join(
        f'<tr><th scope="row">{escape(name)}</th>{_shades(counts, i, part.totals[i])}</tr>'
        for i, (name, counts) in enumerate(zip(part.names, part.counts, strict=True))
    )
    return (
        f'<div class="scroll" role="region" aria-label="{escape(part.caption)}" tabindex="0"><table class="matrix">'
        f"<caption>{escape(part.caption)}</caption>"
        f'<thead><tr><th scope="col"><small>class \\ answer</small></th>{head}</tr></thead><tbody>{rows}</tbody></table></div>'
    )


def _shades(counts: tuple[int, ...], own: int, total: int) -> str:
    cells = []
    for column, count in enumerate(counts):
        kind = "right" if column == own else "wrong"
        shade = f' style="--share:{count / total:.3f}"' if count else ""
        cells.append(f'<td class="{kind}"{shade}>{count or ""}</td>')
    return "".join(cells)


def _column(column: Column) -> str:
    note = f"<small>{escape(column.note)}</small>" if column.note else ""
    return f'<th scope="col"{_number(column)}>{escape(column.name)}{note}</th>'


def _row(row: tuple[str | Cell, ...], table: Table) -> str:
    if len(row) != len(table.columns):
        raise ValueError(
            f"table {table.caption!r}: {len(row)} cells under {len(table.columns)} columns; give one cell per column"
        )
    first = row[0].text if isinstance(row[0], Cell) else row[0]
    cells = "".join(_cell(cell, column) for cell, column in zip(row[1:], table.columns[1:], strict=True))
    marked = ' class="marked"' if first == table.marked else ""
    return f'<tr{marked}><th scope="row">{escape(first)}</th>{cells}</tr>'


def _cell(cell: str | Cell, column: Column) -> str:
    if isinstance(cell, str):
        return f"<td{_number(column)}>{escape(cell)}</td>"
    words = f'<span class="badge {cell.tone}">{escape(cell.text)}</span>' if cell.tone else escape(cell.text)
    if cell.share is not None:
        words += f'<span class="bar" style="--share:{min(1.0, max(0.0, cell.share)):.3f}"></span>'
    return f"<td{_number(column)}>{words}</td>"


def _number(column: Column) -> str:
    return ' class="number"' if column.number else ""


def _chart(wide: str, narrow: str, caption: str) -> str:
    drawn = f'<div class="wide">{wide}</div><div class="narrow">{narrow}</div>'
    return f'<figure class="chart">{drawn}{_caption(caption, None)}</figure>'
