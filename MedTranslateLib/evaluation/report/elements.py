"""Names, attributes and text in, elements of a page out: the standard library's writer escapes all text."""

from __future__ import annotations

from xml.etree.ElementTree import Element

from MedTranslateLib.evaluation.report.printable import printable

Child = Element | str | None


def element(name: str, *children: Child, **attributes: str) -> Element:
    """An element of HTML.

    Args:
        name: Such as `td`.
        children: Elements, and text that is shown as it is; None is left out.
        attributes: Such as `id`; `class_` stands for `class`.

    Returns:
        The element.
    """
    made = Element(name, {key.rstrip("_"): printable(value) for key, value in attributes.items()})
    for child in children:
        add(made, child)
    return made


def add(parent: Element, child: Child) -> None:
    """Adds an element or text behind what the parent holds.

    Args:
        parent: Is changed.
        child: None is left out.
    """
    if isinstance(child, str):
        _add_text(parent, printable(child))
    elif child is not None:
        parent.append(child)


def _add_text(parent: Element, text: str) -> None:
    if len(parent):
        parent[-1].tail = (parent[-1].tail or "") + text
    else:
        parent.text = (parent.text or "") + text
