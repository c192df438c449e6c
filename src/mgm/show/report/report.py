"""The report of a run as one self-contained HTML file."""

import os
from dataclasses import dataclass
from importlib import resources

from mgm.files.atomic import atomic_write
from mgm.show.report.elements import Animation, Curve, PageSection, Picture, Text, Tone
from mgm.show.report.escape import escape
from mgm.show.report.facts import DataFacts, Headline, MaskFacts, ProbeFacts, RunFacts
from mgm.show.report.html import anchors, part_html, section_html
from mgm.show.report.sections import data_section, loss_section, mask_section, probe_section, run_section
from mgm.show.style import css_colours


@dataclass(frozen=True)
class Report:
    """Content of the page. Only title and summary are required; absent fields are omitted."""

    title: str
    summary: str
    """The verdict in one sentence."""
    tone: Tone = "neutral"
    made: str = ""
    """Command and date, in small print above the title."""
    headlines: tuple[Headline, ...] = ()
    preview: Animation | Picture | None = None
    sections: tuple[PageSection, ...] = ()
    """Previews and other sections directly after the first screen."""
    masks: MaskFacts | None = None
    losses: tuple[Curve, ...] = ()
    loss_note: str = ""
    probes: ProbeFacts | None = None
    appendix: tuple[PageSection, ...] = ()
    """Sections that come after the results."""
    data: DataFacts | None = None
    run: RunFacts | None = None
    notes: tuple[str, ...] = ()
    """Limits of the results."""


def write_report(path: str | os.PathLike[str], report: Report) -> None:
    """Write `report` as one HTML file (UTF-8), which appears when it is complete. Its folder is made if missing.

    Raises:
        FileError: the file cannot be written.
        ValueError: a picture is not valid.
    """
    page = render_report(report)
    with atomic_write(path) as file:
        file.write(page.encode())


def render_report(report: Report) -> str:
    """The page as a string."""
    sections = _sections(report)
    names = anchors([section.title for section in sections])
    style = resources.files("mgm.show").joinpath("report.css").read_text(encoding="utf-8")
    links = "".join(f'<a href="#{name}">{escape(s.title)}</a>' for name, s in zip(names, sections, strict=True))
    contents = f'<nav aria-label="Sections">{links}</nav>' if len(sections) > 1 else ""
    body = "\n".join(section_html(section, name) for section, name in zip(sections, names, strict=True))
    return f"""<!DOCTYPE html>
<html lang="en-GB">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{escape(report.title)}</title>
<style>
{css_colours()}{style}</style>
</head>
<body>
{_header(report)}
{contents}
<main>
{body}
</main>
</body>
</html>
"""


def _header(report: Report) -> str:
    made = f'<p class="made">{escape(report.made)}</p>' if report.made else ""
    numbers = "".join(
        f"<li><strong>{escape(h.value)}</strong><span>{escape(h.label)}</span><small>{escape(h.note)}</small></li>"
        for h in report.headlines
    )
    headlines = f'<ul class="headlines">{numbers}</ul>' if numbers else ""
    preview = "" if report.preview is None else part_html(report.preview)
    return (
        f"<header>\n{made}\n<h1>{escape(report.title)}</h1>\n"
        f'<p class="verdict {report.tone}">{escape(report.summary)}</p>\n{headlines}\n{preview}\n</header>'
    )


def _sections(report: Report) -> list[PageSection]:
    sections = list(report.sections)
    if report.masks is not None:
        sections.append(mask_section(report.masks))
    if report.losses:
        sections.append(loss_section(report.losses, report.loss_note))
    if report.probes is not None:
        sections.append(probe_section(report.probes))
    sections += report.appendix
    if report.data is not None:
        sections.append(data_section(report.data))
    if report.run is not None:
        sections.append(run_section(report.run))
    if report.notes:
        sections.append(PageSection("Limits of these results", tuple(Text(note) for note in report.notes)))
    return sections
