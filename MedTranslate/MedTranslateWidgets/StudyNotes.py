"""Slice views of a study in, the same neutral note in each out, whatever it shows; it is drawn, so captures have it."""

from __future__ import annotations

from collections.abc import Sequence

import slicer
from slicer.i18n import tr as _

from MedTranslateLib.mrml.study_layout import Place
from MedTranslateLib.mrml.synthetic_label import SyntheticLabel

NOTE = "Research study: some images may be synthetic"


class StudyNotes:
    """Owned by a reading."""

    def __init__(self) -> None:
        self._labels: list[SyntheticLabel] = []

    def show(self, places: Sequence[Place]) -> None:
        """Writes the note into views, and into no others; beside sources, also which is which.

        Args:
            places: Places of the case's images.
        """
        self.close()
        with_sources = any(place.is_source for place in places)
        for place in places:
            view = slicer.app.layoutManager().sliceWidget(place.value).sliceView()
            kind = _("Source") if place.is_source else _("Image to judge")
            text = f"{_(NOTE)}\n{kind}" if with_sources else _(NOTE)
            label = SyntheticLabel(view.renderWindow().GetRenderers().GetFirstRenderer(), text)
            label.visible = True
            self._labels.append(label)

    def close(self) -> None:
        """Takes the notes away."""
        for label in self._labels:
            label.remove()
        self._labels = []
