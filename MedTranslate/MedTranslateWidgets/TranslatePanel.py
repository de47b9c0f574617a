"""The user's choices in, a queued translation out; and what is going on, while it is."""

from __future__ import annotations

import html
from dataclasses import replace

import slicer
from slicer.i18n import tr as _

from MedTranslateLib.bundles.directions import Direction
from MedTranslateLib.core.errors import MedTranslateError
from MedTranslateLib.mrml.choice_check import check_choice
from MedTranslateLib.mrml.runs import TranslationChoice
from MedTranslateLib.mrml.source import check_source
from MedTranslateWidgets.Choices import fill
from MedTranslateWidgets.FitCheck import FitCheck
from MedTranslateWidgets.NodeWatch import NodeWatch
from MedTranslateWidgets.RunList import RunList
from MedTranslateWidgets.Slots import slot
from MedTranslateWidgets.Workbench import Workbench


class TranslatePanel:
    """The panel of `TranslatePanel.ui`.

    Args:
        ui: Its named widgets.
        workbench: What the panels share.
        onFinished: Told each run that has a result.
    """

    def __init__(self, ui, workbench: Workbench, onFinished) -> None:
        self._ui, self._bench = ui, workbench
        self.messages = workbench.messages
        self.runs = RunList(ui, workbench, onFinished, self._translateAnyway)
        ui.applyButton.connect("clicked()", self.apply)
        ui.queueButton.connect("clicked()", self.queue)
        ui.directionBox.connect("activated(int)", self._directionChosen)
        ui.deviceBox.connect("activated(int)", self._deviceChosen)
        self._source = NodeWatch(self.refresh)
        self.fit = FitCheck(ui, workbench, self.refresh)
        self._waitsForProbe = False
        workbench.listeners.append(self.refresh)
        self._fillDirections()
        self._fillDevices()

    @slot
    def apply(self) -> None:
        """Translates, or cancels what is running: the button says which."""
        running = self.runs.active
        if running is not None:
            self._bench.logic.cancel(running)
        else:
            self._queueChecked(acceptDoubtful=False)

    @slot
    def queue(self) -> None:
        """Translates after what is running."""
        self._queueChecked(acceptDoubtful=False)

    @slot
    def refresh(self) -> None:
        """Brings every widget up to date; called whenever a choice or a run has changed."""
        self._source.follow(self._bench.parameters.source if self._bench.parameters else None)
        self._fillDirections()
        self._fillDevices()
        self._ui.cardLabel.text = cardSummary(self._bench.direction) if self._bench.direction else ""
        self.fit.refresh()
        self.runs.refresh()
        reason = self.whyNot()
        running = self.runs.active is not None
        self._ui.applyButton.text = _("Cancel") if running else _("Apply")
        self._ui.applyButton.enabled = running or not reason
        self._ui.applyButton.toolTip = (
            _("Stops this translation; nothing of it is kept.") if running else reason or _("Translates the volume.")
        )
        self._ui.queueButton.visible = running
        self._ui.queueButton.enabled = not reason
        isSaidAbove = bool(reason) and reason == self.fit.reasons
        self._ui.reasonLabel.visible = bool(reason) and not running and not isSaidAbove
        self._ui.reasonLabel.text = reason
        if self._waitsForProbe and self._bench.probed and not reason:
            self._queueChecked(acceptDoubtful=False)

    def sceneCloses(self) -> None:
        """What was asked for in the old scene must not start in the new one."""
        self._waitsForProbe = False

    def close(self) -> None:
        """The module is closed."""
        self.fit.close()

    def whyNot(self) -> str:
        """Why nothing can be translated now, in a sentence; empty where it can."""
        if self._bench.parameters is None:
            return _("The scene is being closed.")
        if self._bench.direction is None:
            return _("Choose what to translate; no installed bundle is chosen.")
        try:
            check_source(self._bench.parameters.source)
            check_choice(self._choice(acceptDoubtful=False), self._bench.store)
        except MedTranslateError as error:
            return str(error)
        return self.fit.reasons if self.fit.verdict == "refused" else ""

    def _queueChecked(self, *, acceptDoubtful: bool) -> None:
        """Asks for what must be asked first: missing packages, then the licence."""
        direction = self._bench.direction
        self._waitsForProbe = not self._bench.probed
        if direction is None:
            return
        if self._waitsForProbe:
            self.messages.info(_("One moment: looking at what this computer has ..."))
        elif not self._bench.dependencies.complete:
            self._bench.dependencies.offer()
        elif not self._bench.licenceAccepted(direction):
            self._askForLicence(direction)
        elif self.fit.verdict == "doubtful" and not acceptDoubtful:
            anyway = (_("Translate anyway"), self._acceptDoubtful)
            self.messages.warning(_("The volume may not fit this bundle. {0}").format(self.fit.reasons), [anyway])
        else:
            self.messages.clear()
            source = self._bench.parameters.source
            self.runs.announce(self._bench.logic.queue(source, self._choice(acceptDoubtful=acceptDoubtful)))

    def _askForLicence(self, direction: Direction) -> None:
        card = direction.manifest
        text = _("{0} may be used under this licence, for research only: {1}.").format(card.name, card.licence)
        if card.training.licence != card.licence:
            text += " " + _("Licence of the training data: {0}.").format(card.training.licence)
        action = (_("Accept and translate"), lambda: self._licenceAccepted(direction))
        self.messages.warning(f"{text} {_('This is asked once.')}", [action])

    @slot
    def _licenceAccepted(self, direction: Direction) -> None:
        self._bench.acceptLicence(direction)
        self._queueChecked(acceptDoubtful=False)

    @slot
    def _acceptDoubtful(self) -> None:
        """Translates in spite of the doubt; the provenance records that it was accepted."""
        self._queueChecked(acceptDoubtful=True)

    @slot
    def _translateAnyway(self, run) -> None:
        """Repeats a run that the input gate called doubtful; the provenance records that it was accepted."""
        source = slicer.mrmlScene.GetNodeByID(run.source_id)
        self.runs.announce(self._bench.logic.queue(source, replace(run.choice, accept_doubtful=True)))

    def _choice(self, *, acceptDoubtful: bool) -> TranslationChoice:
        parameters, direction = self._bench.parameters, self._bench.direction
        return TranslationChoice(
            bundle=direction.manifest.name,
            reverse=direction.reverse,
            steps=parameters.steps or None,
            samples=parameters.samples,
            seed=parameters.seed,
            device=parameters.device,
            estimate_drift=parameters.estimateDrift,
            output_name=parameters.outputName.strip() or None,
            accept_doubtful=acceptDoubtful,
            trust=parameters.trust,
        )

    @slot
    def _directionChosen(self, row: int) -> None:
        self._bench.parameters.direction = str(self._ui.directionBox.itemData(row))

    @slot
    def _deviceChosen(self, row: int) -> None:
        self._bench.parameters.device = str(self._ui.deviceBox.itemData(row))

    def _fillDirections(self) -> None:
        rows = [(direction.label, direction.key) for direction in self._bench.directions]
        fill(self._ui.directionBox, rows, self._bench.parameters.direction if self._bench.parameters else "")

    def _fillDevices(self) -> None:
        found = [(label, name) for name, label in self._bench.dependencies.answer.devices]
        chosen = self._bench.parameters.device if self._bench.parameters else "auto"
        rows = [(_("automatic"), "auto"), *(found or [(_("CPU"), "cpu")])]
        if chosen not in [name for _label, name in rows]:
            rows.append((_("{0} (not on this computer)").format(chosen), chosen))
        fill(self._ui.deviceBox, rows, chosen)


def cardSummary(direction: Direction) -> str:
    """The lines of the card that matter before pressing Apply."""
    card = direction.manifest
    lines = [
        (_("needs"), direction.needs),
        (_("gives"), direction.gives),
        (_("measured"), direction.quality),
        (_("licence"), card.licence),
    ]
    rows = "".join(
        f"<tr><td style='padding-right:8px'><i>{label}</i></td><td>{html.escape(text)}</td></tr>"
        for label, text in lines
    )
    return f"<table>{rows}</table>"
