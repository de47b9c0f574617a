"""The header of an image in, whether it says that no scanner made the image out; and the mark our own outputs carry."""

from __future__ import annotations

from pathlib import Path

import SimpleITK as sitk

from MedTranslateLib.core.result import SYNTHETIC_NOTE

MARK = "MedTranslate_synthetic"
"""Key in the header of what we write (NRRD, MetaImage): constant, so that equal runs still give equal bytes."""
SYNTHETIC_DATA_TAG = "0008|001c"
YES = ("yes", "wuvtia==")
"""What the tag holds; ITK's DICOM reader does not know the tag yet and hands its bytes on as base64."""
IMAGE_TYPE_TAG = "0008|0008"
DESCRIPTION_TAGS = ("0008|2111", "0008|103e")
"""Derivation and series description."""
SYNTHETIC_TAGS = (SYNTHETIC_DATA_TAG, IMAGE_TYPE_TAG, *DESCRIPTION_TAGS)
NOTE_KEYS = ("descrip", "ITK_FileNotes", "Comment")
"""Free text of NIfTI, ITK and MetaImage headers."""
WORDS = ("synthetic", "medtranslate")
OUTPUT, BESIDE = "translated.nrrd", "result.json"
"""How the output of a job is called, and what lies beside it."""


def marked(image: sitk.Image) -> sitk.Image:
    """Writes the mark into an image's header and returns the image.

    Args:
        image: What is going to be written.
    """
    image.SetMetaData(MARK, SYNTHETIC_NOTE)
    return image


def is_synthetic(header: sitk.Image | sitk.ImageFileReader, path: Path) -> bool:
    """Whether a header, or the place of a file, says that the image is synthetic.

    Args:
        header: The image, or its reader.
        path: The file or folder it was read from.
    """
    if header.HasMetaDataKey(MARK) or _value(header, SYNTHETIC_DATA_TAG) in YES:
        return True
    derived = "derived" in _value(header, IMAGE_TYPE_TAG)
    texts = [_value(header, tag) for tag in DESCRIPTION_TAGS] if derived else []
    texts += [_value(header, key) for key in NOTE_KEYS]
    told = any(word in text for text in texts for word in WORDS)
    return told or (path.name == OUTPUT and (path.parent / BESIDE).is_file())


def _value(header: sitk.Image | sitk.ImageFileReader, key: str) -> str:
    return str(header.GetMetaData(key)).strip().lower() if header.HasMetaDataKey(key) else ""
