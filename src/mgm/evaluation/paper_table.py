"""The tables of the paper, and beside Table 4 what its systems give at the size that two cores can run."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from mgm.errors import ConfigError
from mgm.evaluation.paper import FIGURES, PaperFigure
from mgm.training.results import Kind

COLUMNS: Final = ("table", "method", "set", "top-1", "the paper", "small scale", "difference to tube")
SMALL_SCALE_NOTE: Final = (
    "Small scale: a tiny ViT, 800 steps on synthetic clips, pixels alone; mean class accuracy of an attentive probe with 512 "
    "labels, three seeds, 1,024 test videos; the 95% interval of the difference to tube masks, in points (docs/evidence.md)"
)


@dataclass(frozen=True, slots=True)
class SmallScale:
    """What one system gives at small scale: mean class accuracy, and the 95% interval of its difference to tube masks."""

    value: float
    interval: tuple[float, float] | None = None

    @property
    def difference(self) -> str:
        """The interval in points; empty for the tube masks themselves."""
        return "" if self.interval is None else "{:+.1f} to {:+.1f}".format(*(100 * end for end in self.interval))


SMALL_SCALE: Final = {
    "MGM ViT-B": SmallScale(0.840, (0.095, 0.153)),
    "MGM with optical flow": SmallScale(0.842, (0.066, 0.210)),
    "MGM without jitter": SmallScale(0.824, (0.056, 0.180)),
    "random block": SmallScale(0.784, (0.038, 0.099)),
    "SMM (sparse)": SmallScale(0.837, (0.090, 0.151)),
    "random tube": SmallScale(0.716),
    "MGM (sparse)": SmallScale(0.747, (-0.020, 0.081)),
    "SMM (dense)": SmallScale(0.771, (0.029, 0.081)),
}
"""Method of Table 4, without its epochs; printed by `experiments/evidence/run.py paper`. A test compares them with its cells."""

_EPOCHS: Final = ", 200 epochs"
_KINDS: Final[dict[Kind, str]] = {"evaluation": "fine-tuned", "probe": "linear probe", "transfer": "transfer"}


@dataclass(frozen=True, slots=True)
class PaperRow:
    """A figure of the paper, and the same system at small scale where it was measured."""

    paper: PaperFigure
    here: SmallScale | None = None

    def cells(self) -> tuple[str, ...]:
        """The row as text, one cell for each of `COLUMNS`."""
        paper, here = self.paper, self.here
        return (
            paper.table,
            paper.method,
            paper.on,
            _KINDS[paper.kind],
            f"{paper.value:.1%}",
            "" if here is None else f"{here.value:.1%}",
            "" if here is None else here.difference,
        )


def asked_table(text: str) -> str | None:
    """The number in "Table 4" or "table 2a", lower case; None: `text` names a method."""
    found = re.fullmatch(r"\s*tables?\s*(\w+)\s*", text, re.IGNORECASE)
    return None if found is None else found[1].lower()


def paper_rows(table: str) -> list[PaperRow]:
    """The paper's figures of a table, or of one part of it: "4", "4e".

    Raises:
        ConfigError: the paper has no such table of accuracies.
    """
    found = [figure for figure in FIGURES if re.fullmatch(rf"{re.escape(table)}[a-e]?", figure.table)]
    if not found:
        known = ", ".join(dict.fromkeys(figure.table for figure in FIGURES if figure.table[0].isdigit()))
        raise ConfigError(
            "--paper", f"found Table {table}", f"Table {known}, or words of a method", reason="unknown_name"
        )
    return [PaperRow(figure, _small_scale(figure)) for figure in found]


def _small_scale(figure: PaperFigure) -> SmallScale | None:
    return SMALL_SCALE.get(figure.method.removesuffix(_EPOCHS)) if figure.table.startswith("4") else None


def shown_columns(rows: Sequence[PaperRow]) -> tuple[str, ...]:
    """Those of `COLUMNS` that have a content."""
    return COLUMNS if any(row.here is not None for row in rows) else COLUMNS[: COLUMNS.index("small scale")]
