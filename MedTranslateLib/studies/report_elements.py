"""Names, text and rows in, elements of a page out: the standard library's writer escapes all text."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from xml.etree.ElementTree import Element

from MedTranslateLib.metrics.statistics import Interval
from MedTranslateLib.studies.accuracy import Proportion

Child = Element | str | None
NOTHING = "-"
SMALLEST_P = 0.001


def element(name: str, *children: Child, **attributes: str) -> Element:
    """An element of HTML.

    Args:
        name: Such as `td`.
        children: Elements, and text that is shown as it is; None is left out.
        attributes: Such as `id`; `class_` stands for `class`.
    """
    made = Element(name, {key.rstrip("_"): printable(value) for key, value in attributes.items()})
    for child in children:
        if isinstance(child, str):
            _add_text(made, printable(child))
        elif child is not None:
            made.append(child)
    return made


def printable(text: str) -> str:
    """Writes what cannot be printed as a code.

    Args:
        text: Any.
    """
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode("ascii") for one in text)


def words(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Element:
    """A table of sentences.

    Args:
        heads: Of the columns.
        rows: Text of the cells.
    """
    made = table(heads, rows)
    made[0].set("class", "words")
    return made


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], *, last_is_all: bool = False) -> Element:
    """A table of figures whose first column names the rows.

    Args:
        heads: Of the columns.
        rows: Text of the cells.
        last_is_all: Whether the last row is of all together.
    """
    head = element("tr", *(element("th", text, scope="col") for text in heads))
    filled = [
        element("tr", element("th", row[0], scope="row"), *(element("td", text) for text in row[1:])) for row in rows
    ]
    if last_is_all and filled:
        filled[-1].set("class", "all")
    body = element("table", element("thead", head), element("tbody", *filled), class_="figures")
    return element("div", body, class_="box")


def figure(title: str, address: str, explained: str) -> Element:
    """An image with its caption.

    Args:
        title: What it shows; also for those who cannot see it.
        address: A `data:` address.
        explained: How to read it.
    """
    caption = element("figcaption", element("b", f"{title}. "), explained)
    return element("figure", caption, element("img", src=address, alt=f"{title}. {explained}"))


def note(text: str) -> Element:
    """A small explanation.

    Args:
        text: What to say.
    """
    return element("p", text, class_="note")


def percent(share: float) -> str:
    """A share as it is read.

    Args:
        share: From 0 to 1; NaN for none.
    """
    return f"{100 * share:.0f} %" if math.isfinite(share) else NOTHING


def percent_range(interval: Interval) -> str:
    """An interval of shares.

    Args:
        interval: From 0 to 1; NaN for none.
    """
    return f"{100 * interval.low:.0f} to {100 * interval.high:.0f} %" if math.isfinite(interval.low) else NOTHING


def share_of(one: Proportion) -> str:
    """How many of how many, and what share.

    Args:
        one: A share.
    """
    return f"{one.right} of {one.asked} ({percent(one.share)})" if one.asked else NOTHING


def number(value: float, digits: int = 2) -> str:
    """A number.

    Args:
        value: NaN for none.
        digits: Behind the point.
    """
    return _unsigned_zero(f"{value:.{digits}f}") if math.isfinite(value) else NOTHING


def number_range(interval: Interval, digits: int = 2) -> str:
    """An interval of numbers.

    Args:
        interval: NaN for none.
        digits: Behind the point.
    """
    if not math.isfinite(interval.low):
        return NOTHING
    return f"{number(interval.low, digits)} to {number(interval.high, digits)}"


def p_value(p: float) -> str:
    """A p-value.

    Args:
        p: NaN for none.
    """
    if not math.isfinite(p):
        return NOTHING
    return f"{p:.3f}" if p >= SMALLEST_P else f"< {SMALLEST_P}"


def _unsigned_zero(text: str) -> str:
    return text if float(text) else text.lstrip("-")


def _add_text(parent: Element, text: str) -> None:
    if len(parent):
        parent[-1].tail = (parent[-1].tail or "") + text
    else:
        parent.text = (parent.text or "") + text
