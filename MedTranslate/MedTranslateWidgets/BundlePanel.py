"""Installed bundles in, their cards to read out; and adding, verifying and removing them."""

from __future__ import annotations

from pathlib import Path

import qt
import slicer
from slicer.i18n import tr as _

from MedTranslateLib.bundles.card import card_text
from MedTranslateLib.bundles.entries import Bundle, BundleOrigin, Entry
from MedTranslateLib.bundles.verify import verify_bundle
from MedTranslateWidgets.Slots import slot
from MedTranslateWidgets.Workbench import Workbench

ORIGINS = {BundleOrigin.SHIPPED: "came with the extension", BundleOrigin.USER: "added by you"}


class BundlePanel:
    """The panel of `BundlePanel.ui`.

    Args:
        ui: Its named widgets.
        workbench: What the panels share.
    """

    def __init__(self, ui, workbench: Workbench) -> None:
        self._ui, self._bench = ui, workbench
        self.messages = workbench.messages
        self._entries: tuple[Entry, ...] = ()
        ui.bundleList.setHeaderLabels([_("Bundle"), _("Translates"), _("Anatomy"), _("Origin")])
        ui.bundleList.connect("itemSelectionChanged()", self.showCard)
        ui.addFolderButton.connect("clicked()", self.addFolder)
        ui.addZipButton.connect("clicked()", self.addZip)
        ui.verifyButton.connect("clicked()", self.verify)
        ui.removeButton.connect("clicked()", self.remove)
        ui.bundleSection.connect("contentsCollapsed(bool)", self.refresh)
        self.refresh()

    @slot
    def refresh(self) -> None:
        """Reads the list anew."""
        self._entries = self._bench.store.list()
        self._ui.bundleList.clear()
        for entry in self._entries:
            item = qt.QTreeWidgetItem(self._ui.bundleList)
            for column, text in enumerate(columnsOf(entry)):
                item.setText(column, text)
        for column in range(3):
            self._ui.bundleList.resizeColumnToContents(column)
        self.showCard()

    @slot
    def showCard(self) -> None:
        """Shows what the selected bundle says of itself, or what is wrong with it."""
        entry = self._selected()
        text = _("Select a bundle to read its card.")
        if entry is not None:
            text = card_text(entry.manifest) if isinstance(entry, Bundle) else str(entry.error)
        self._ui.cardEdit.setPlainText(text)
        self._ui.verifyButton.enabled = entry is not None
        self._ui.removeButton.enabled = entry is not None and entry.origin is BundleOrigin.USER

    @slot
    def addFolder(self) -> None:
        """Asks for a bundle folder and adds it."""
        self._add(qt.QFileDialog.getExistingDirectory(slicer.util.mainWindow(), _("Bundle folder")))

    @slot
    def addZip(self) -> None:
        """Asks for a zip file of a bundle and adds it."""
        self._add(qt.QFileDialog.getOpenFileName(slicer.util.mainWindow(), _("Bundle"), "", _("Zip files (*.zip)")))

    @slot
    def verify(self) -> None:
        """Compares every file of the selected bundle with the hash on its card."""
        entry = self._selected()
        manifest = verify_bundle(entry.folder)
        self.messages.success(_("{0} {1}: every file is as its card states.").format(manifest.name, manifest.version))

    @slot
    def remove(self) -> None:
        """Asks in the message bar, then removes the selected bundle."""
        entry = self._selected()
        text = _("Remove {0} from this computer? Results made with it stay.").format(entry.name)
        self.messages.warning(text, [(_("Remove"), lambda: self._remove(entry.name))])

    @slot
    def _remove(self, name: str) -> None:
        folder = self._bench.store.remove(name)
        self.messages.info(_("Removed {0}.").format(folder))
        self._changed()

    def _add(self, path: str) -> None:
        if path:
            bundle = self._bench.store.add(Path(path))
            self.messages.success(_("Added {0} {1}.").format(bundle.name, bundle.manifest.version))
            self._changed()

    def _changed(self) -> None:
        self._bench.readBundles()
        self.refresh()

    def _selected(self) -> Entry | None:
        tree = self._ui.bundleList
        item = tree.currentItem()
        row = tree.indexOfTopLevelItem(item) if item is not None else -1
        return self._entries[row] if 0 <= row < len(self._entries) else None


def columnsOf(entry: Entry) -> tuple[str, str, str, str]:
    """Name, arrow, anatomy and origin of a bundle."""
    origin = _(ORIGINS.get(entry.origin, entry.origin.value))
    if isinstance(entry, Bundle):
        return entry.name, entry.manifest.arrow, entry.manifest.anatomy, origin
    return entry.name, _("cannot be used"), "", origin
