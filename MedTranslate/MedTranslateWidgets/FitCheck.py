"""The chosen volume and bundle in, whether they fit and whether the run fits the memory out, before anything is run."""

from __future__ import annotations

import html

import qt
from slicer.i18n import tr as _

from MedTranslateLib.bundles.directions import Direction
from MedTranslateLib.core.errors import MedTranslateError
from MedTranslateLib.core.request import TranslationRequest
from MedTranslateLib.mrml.source import check_source
from MedTranslateWidgets.Slots import slot
from MedTranslateWidgets.Workbench import Workbench

LOOK_AFTER_MS = 150
"""Several changes in a row, as a scene brings when it is loaded, are looked at once."""
LOOKS = {
    "fits": ("#1e7a34", "Fits"),
    "doubtful": ("#9a6700", "Doubtful"),
    "refused": ("#b3261e", "Refused"),
}
MOST_KNOWN = 50


class FitCheck:
    """The two lines below the card.

    Voxels are looked at when Slicer is idle, once for each state of a volume and each direction.

    Args:
        ui: Named widgets of `TranslatePanel.ui`.
        workbench: What the panels share.
        onAnswer: Called when an answer has come.
    """

    def __init__(self, ui, workbench: Workbench, onAnswer) -> None:
        self._ui, self._bench, self._onAnswer = ui, workbench, onAnswer
        self.messages = workbench.messages
        self._known: dict[tuple, tuple[str, tuple[str, ...]]] = {}
        self._key: tuple | None = None
        self._memoryKey: tuple | None = None
        self._timer = qt.QTimer()
        self._timer.setSingleShot(True)
        self._timer.connect("timeout()", self.look)
        self._show()

    @property
    def verdict(self) -> str:
        """`fits`, `doubtful` or `refused`; empty while nobody has looked."""
        return self._known[self._key][0] if self._key in self._known else ""

    @property
    def reasons(self) -> str:
        """Why, in sentences; empty for what fits."""
        return " ".join(self._known[self._key][1]) if self._key in self._known else ""

    def refresh(self) -> None:
        """Looks again where volume, bundle or direction have changed."""
        self._key = self._keyNow()
        if self._key is None or self._key in self._known:
            self._timer.stop()
        elif not self._timer.isActive():
            self._timer.start(LOOK_AFTER_MS)
        self._show()
        self._showMemory()

    def close(self) -> None:
        """The module is closed."""
        self._timer.stop()

    @slot
    def look(self) -> None:
        """Asks the input gate."""
        from MedTranslateLib.checks.gate import inspect  # noqa: PLC0415  # opening the panel is quick
        from MedTranslateLib.mrml.source import volume_of_source  # noqa: PLC0415  # the same

        self._key = self._keyNow()
        if self._key is None:
            return
        direction = self._bench.direction
        try:
            volume = volume_of_source(self._bench.parameters.source).volume
            report = inspect(volume, direction.manifest, reverse=direction.reverse)
            answer = (str(report.verdict.value), tuple(report.reasons))
        except MedTranslateError as error:
            answer = ("refused", (str(error),))
        while len(self._known) >= MOST_KNOWN:
            del self._known[next(iter(self._known))]
        self._known[self._key] = answer
        self._onAnswer()

    def _keyNow(self) -> tuple | None:
        """What an answer depends on; None where there is nothing to look at."""
        source = self._bench.parameters.source if self._bench.parameters is not None else None
        direction = self._bench.direction
        if source is None or direction is None:
            return None
        try:
            check_source(source)
        except MedTranslateError:
            return None
        transform = source.GetParentTransformNode()
        moved = transform.GetTransformToWorldMTime() if transform is not None else 0
        image = source.GetImageData().GetPointData().GetScalars().GetMTime()
        return source.GetID(), source.GetMTime(), image, moved, direction.key, direction.manifest.version

    def _show(self) -> None:
        label = self._ui.fitLabel
        label.visible = self._key is not None
        if not self.verdict:
            label.text = _("Looking at the volume ...")
            return
        colour, word = LOOKS[self.verdict]
        reasons = self.reasons or _("The volume is what this bundle was trained on, as far as can be measured.")
        label.text = f"<b style='color:{colour}'>{_(word)}:</b> {html.escape(reasons)}"

    def _showMemory(self) -> None:
        source = self._bench.parameters.source if self._bench.parameters is not None else None
        label, direction = self._ui.memoryLabel, self._bench.direction
        label.visible = self._key is not None and self._bench.probed
        if not label.isVisibleTo(label.parent()) or self._key is None:
            return
        chosen = self._bench.parameters
        asked = (chosen.device, chosen.steps, chosen.samples, chosen.trust)
        key = (source.GetID(), source.GetMTime(), direction.key, *asked)
        if key == self._memoryKey:
            return
        self._memoryKey = key
        try:
            label.text = memorySentence(self._bench, source, direction)
        except MedTranslateError:  # the bundle is gone, or a number is out of range: the reason for that stands below
            label.text = ""


def memorySentence(bench: Workbench, source, direction: Direction) -> str:
    """How the run fits into the memory that is free now."""
    from MedTranslateLib.checks.memory_cost import known_cost  # noqa: PLC0415  # opening the panel is quick
    from MedTranslateLib.checks.memory_estimate import workload  # noqa: PLC0415  # the same
    from MedTranslateLib.checks.memory_free import Room, free_bytes  # noqa: PLC0415  # the same
    from MedTranslateLib.checks.memory_plan import plan_memory  # noqa: PLC0415  # the same
    from MedTranslateLib.mrml.source import world_geometry  # noqa: PLC0415  # the same

    chosen, name = bench.parameters, direction.manifest.name
    request = TranslationRequest(name, steps=chosen.steps or None, samples=chosen.samples, trust=chosen.trust)
    work = workload(world_geometry(source), bench.store.find(name).folder, direction.manifest, request)
    device = bench.dependencies.answer.deviceFor(chosen.device)
    room = Room(free_bytes(), device_free=bench.dependencies.answer.freeOn(device))
    sentence = plan_memory(work, device, room, known_cost(work, device)).sentence()
    return f"<i>{_('memory')}</i>&nbsp; {html.escape(sentence)}"
