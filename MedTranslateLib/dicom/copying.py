"""A header as scanners and archives write it in, chosen attributes out that may be written again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from pydicom import config
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.valuerep import PersonName, validate_value

MAX_QUOTED = 40


class Illegal(Enum):
    """What becomes of a value that the standard does not allow, such as a date that is none.

    `KEEP`: what archives match patients and studies by; changed, the output would belong to nobody. `EMPTY`: what must
    be there, if only empty. `DROP`: everything else.
    """

    KEEP = "keep"
    EMPTY = "empty"
    DROP = "drop"


@dataclass(frozen=True)
class Wanted:
    """An attribute to copy.

    Args:
        keyword: Its DICOM keyword.
        illegal: What becomes of a value that is not allowed.
        required: Whether it is written empty where the source lacks it (type 2).
    """

    keyword: str
    illegal: Illegal = Illegal.DROP
    required: bool = False


@dataclass(frozen=True)
class Copied:
    """The copied attributes, and one sentence about each that was not copied as it was."""

    attributes: Dataset
    warnings: tuple[str, ...]


def copy_attributes(header: Dataset, wanted: Sequence[Wanted]) -> Copied:
    """Copies attributes as text in the value representation of the standard's dictionary.

    Args:
        header: The source's header; its character set has been decoded.
        wanted: What to copy; everything else, private tags included, stays behind.
    """
    attributes, warnings = Dataset(), []
    with config.disable_value_validation():
        for one in wanted:
            values = texts_of(header, one.keyword)
            if not any(values):
                values = [""] if one.required else []
            elif not _is_legal(one.keyword, values):
                values = {Illegal.KEEP: values, Illegal.EMPTY: [""], Illegal.DROP: []}[one.illegal]
                warnings.append(_what_happened(one, header))
            if values:
                set_texts(attributes, one.keyword, values)
    return Copied(attributes, tuple(warnings))


def texts_of(header: Dataset, keyword: str) -> list[str]:
    """The values of an attribute as text, however the header wrote them; none where it is missing or empty."""
    try:
        value = header.get(keyword)
    except (ValueError, TypeError, AttributeError, NotImplementedError):  # bytes that its own VR cannot hold
        return ["?"]
    if value is None:
        return []
    values = list(value) if isinstance(value, (MultiValue, list, tuple)) else [value]
    return [_text(one) for one in values]


def set_texts(attributes: Dataset, keyword: str, values: Sequence[str]) -> None:
    """Sets an attribute from texts; names are made anew, free of the bytes and character set they came in."""
    with config.disable_value_validation():
        is_name = dictionary_VR(keyword) == "PN"
        given: list[object] = [PersonName(text) if is_name else text for text in values]
        attributes.add_new(keyword, dictionary_VR(keyword), given if len(given) > 1 else given[0])


def _text(value: object) -> str:
    if isinstance(value, bytes):
        return value.decode("ascii", errors="replace").strip("\0 ")
    original = getattr(value, "original_string", None)  # of numbers: as they were written
    return original.strip() if isinstance(original, str) else str(value).strip("\0 ")


def _is_legal(keyword: str, values: Sequence[str]) -> bool:
    vr = dictionary_VR(keyword)
    try:
        for text in values:
            validate_value(vr, text, config.RAISE)
    except (ValueError, TypeError):
        return False
    return tag_for_keyword(keyword) is not None


def _what_happened(one: Wanted, header: Dataset) -> str:
    """Names the attribute, never its value where that may be the patient's own."""
    done = {
        Illegal.KEEP: "is kept as it is, so that the output stays with its patient and study",
        Illegal.EMPTY: "is written empty",
        Illegal.DROP: "is left out",
    }
    length = max(len(text) for text in texts_of(header, one.keyword))
    return f"{one.keyword} of the source is not legal DICOM ({length} characters); it {done[one.illegal]}."
