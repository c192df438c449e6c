"""One palette: pages have the colours of the figures."""

import re
from importlib import resources

from mgm.show.style import THEMES, css_colour, css_colours


def variables(text: str) -> dict[str, str]:
    return dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", text))


def test_the_report_takes_its_colours_from_the_style():
    light, _, dark = css_colours().partition("@media")
    for text, theme in ((light, THEMES["light"]), (dark, THEMES["dark"])):
        found = variables(text)
        assert [found["paper"], found["ink"]] == [css_colour(theme.ground), css_colour(theme.ink)]
        assert [found[f"s{n}"] for n in range(4)] == [css_colour(colour) for colour in theme.series]
    own = resources.files("mgm.show").joinpath("report.css").read_text(encoding="utf-8")
    assert not variables(own).keys() & variables(light).keys()


def test_the_explorer_has_the_same_colours():
    text = resources.files("mgm.explore").joinpath("page/style.css").read_text(encoding="utf-8")
    light, _, dark = text.partition("prefers-color-scheme: dark")
    for part, theme in ((light, THEMES["light"]), (dark, THEMES["dark"])):
        found = variables(part)
        colours = {
            "page": theme.ground,
            "ink": theme.ink,
            "faint": theme.faint,
            "line": theme.grid,
            "accent": theme.series[0],
        }
        assert {name: found[name] for name in colours} == {name: css_colour(colour) for name, colour in colours.items()}
