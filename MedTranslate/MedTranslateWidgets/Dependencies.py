"""What the worker's Python lacks in, an offer to install it out; nothing is ever installed unasked."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence

import qt
import slicer
from slicer.i18n import tr as _

from MedTranslateWidgets import SlicerVersion
from MedTranslateWidgets.MessageBar import MessageBar
from MedTranslateWidgets.Probe import ProbeAnswer
from MedTranslateWidgets.Slots import slot

TORCH = "torch"


class Dependencies:
    """Knows the last answer of the probe and helps a user to make it a better one.

    Args:
        messages: Where the offer is shown.
        onInstalled: Called after something was installed, to ask the probe again.
    """

    def __init__(self, messages: MessageBar, onInstalled: Callable[[], None]) -> None:
        self.messages = messages
        self._onInstalled = onInstalled
        self._answer = ProbeAnswer()
        self._isInstalling = False

    @property
    def answer(self) -> ProbeAnswer:
        """What the worker's Python has, as far as it was asked."""
        return self._answer

    @answer.setter
    def answer(self, answer: ProbeAnswer) -> None:
        self._answer = answer
        if self._isInstalling:
            self._isInstalling = False
            if self.complete:
                self.messages.success(_("Everything is installed. Try again."))
            else:
                self.offer()

    @property
    def complete(self) -> bool:
        """Whether a translation can run."""
        return not (self.answer.missing or self.answer.broken or self.answer.failure)

    def offer(self) -> None:
        """Says what is missing and offers what can be done about it."""
        if self.answer.failure:
            again = (_("Look again"), self._onInstalled)
            self.messages.error(_("The background process does not work: {0}.").format(self.answer.failure), [again])
        elif self.answer.broken:
            name, reason = next(iter(self.answer.broken.items()))
            text = _("{0} is installed but cannot be loaded: {1} Install it again, or restart Slicer.")
            self.messages.error(text.format(name, reason))
        elif SlicerVersion.hasOwnPython():
            text = _("The Python named by {0} lacks: {1}. Install them there, then press Apply again.")
            self.messages.error(text.format(SlicerVersion.OWN_PYTHON, ", ".join(self.answer.missing)))
        else:
            self._offerInstallation()

    def _offerInstallation(self) -> None:
        fromFolder = (_("From a folder of wheels..."), self.installFromFolder)
        if TORCH in self.answer.missing and not SlicerVersion.hasTorchExtension():
            text = _(
                "The first translation needs PyTorch, which comes by Slicer's extension PyTorch (about 200 MB to 3 GB)."
            )
            self.messages.warning(text, [(_("Get the extension"), self.getTorchExtension), fromFolder])
            return
        text = _("The first translation needs some Python packages: {0}. They are installed into Slicer's own Python.")
        self.messages.warning(text.format(", ".join(self.answer.missing)), [(_("Install"), self.install), fromFolder])

    def offerPackages(self, names: Sequence[str], purpose: str) -> None:
        """Offers to install packages that one part of the module needs and a translation does not.

        Args:
            names: Names as pip knows them.
            purpose: Begins the sentence, such as "The export to DICOM needs".
        """
        listed = ", ".join(names)
        if SlicerVersion.hasOwnPython():
            text = _("{0} packages that the Python named by {1} lacks: {2}. Install them there, then try again.")
            self.messages.error(text.format(purpose, SlicerVersion.OWN_PYTHON, listed))
            return
        text = _("{0} some Python packages: {1}. They are installed into Slicer's own Python.")
        install = (_("Install"), lambda: self._run(SlicerVersion.installPackages, list(names)))
        folder = (_("From a folder of wheels..."), lambda: self._installFromFolder(list(names)))
        self.messages.warning(text.format(purpose, listed), [install, folder])

    @slot
    def getTorchExtension(self) -> None:
        """Has Slicer fetch the PyTorch extension."""
        if SlicerVersion.installTorchExtension():
            self.messages.info(_("The extension PyTorch is installed. Restart Slicer, then press Apply again."))
        else:
            text = _(
                "The extension PyTorch could not be downloaded. Install it in the Extensions Manager, or offline "
                "from a folder of wheels."
            )
            self.messages.error(text, [(_("From a folder of wheels..."), self.installFromFolder)])

    @slot
    def install(self) -> None:
        """Installs what is missing: PyTorch by its extension, the rest by pip; both show their progress."""
        missing = list(self.answer.missing)
        if TORCH in missing and not SlicerVersion.installTorch():
            self.messages.error(_("PyTorch was not installed; nothing else was changed."))
            return
        self._run(SlicerVersion.installPackages, [name for name in missing if name != TORCH])

    @slot
    def installFromFolder(self) -> None:
        """Asks for a folder of wheels and installs from there, without a network."""
        self._installFromFolder(list(self.answer.missing))

    def _installFromFolder(self, names: list[str]) -> None:
        folder = qt.QFileDialog.getExistingDirectory(slicer.util.mainWindow(), _("Folder of wheels"))
        if folder:
            self._run(lambda wanted: SlicerVersion.installFromFolder(wanted, folder), names)

    def _run(self, installation: Callable[[list[str]], None], names: list[str]) -> None:
        self.messages.info(_("Installing {0} ...").format(", ".join(names) or TORCH))
        try:
            if names:
                installation(names)
        except subprocess.CalledProcessError as error:
            text = _("pip could not install {0} (exit code {1}); Slicer's Python console shows why.")
            self.messages.error(text.format(", ".join(names), error.returncode))
            return
        self._isInstalling = True
        self._onInstalled()
