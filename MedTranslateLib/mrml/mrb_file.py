"""A finished job folder in, a Slicer bundle (.mrb) out that holds the job's own files beside the scene description.

Letting Slicer write the data would turn each field into double, uncompressed. A .mrb is a zip file of a scene
description and its data, so the files that the job already has are put there as they are.
"""

from __future__ import annotations

import tempfile
import zipfile
from pathlib import Path

import slicer

from MedTranslateLib.core.errors import CorruptResultError
from MedTranslateLib.imaging.files import output_error
from MedTranslateLib.imaging.job_folder import FILES, SOURCE, read_result, read_source
from MedTranslateLib.imaging.trust_files import TRUST_FILES
from MedTranslateLib.mrml.layout import add_compare_views, show_in_views
from MedTranslateLib.mrml.scene import ResultNodes, add_result, add_source
from MedTranslateLib.mrml.trust_nodes import find_trust_colours

NO_DATE = (1980, 1, 1, 0, 0, 0)
FILE_OF_ROLE = {
    "source": SOURCE,
    "output": FILES["translated"],
    "forward": FILES["forward_field"],
    "inverse": FILES["inverse_field"],
    "validity": FILES["validity"],
    "uncertainty": FILES["uncertainty"],
    "provenance": FILES["provenance"],
    **TRUST_FILES,
    "ledger_regions": FILES["ledger_regions"],
}
"""Files of the job that are taken as they are."""
LEDGER_FILE = "ledger.tsv"
COLOURS_FILE = "trust-colours.ctbl"


def write_mrb(job_folder: Path, out: Path) -> None:
    """Writes the scene of a finished job; equal jobs give equal bytes, in a process that writes nothing else.

    Args:
        job_folder: Folder with a finished translation.
        out: The .mrb to write.

    Raises:
        JobFolderError: If the job has no result.
        CorruptResultError: If a file of the result is missing or was changed, or Slicer refuses the scene.
        OutputError: If the bundle cannot be written.
    """
    source, result = read_source(job_folder), read_result(job_folder)
    scene = slicer.vtkMRMLScene()
    colours = slicer.vtkMRMLColorLogic()
    colours.SetMRMLScene(scene)
    colours.AddDefaultColorNodes()
    add_compare_views(scene)
    nodes = add_result(scene, add_source(scene, source, result), source.name, result)
    show_in_views(scene, nodes.source, nodes.output)
    name = out.stem
    made = _files_made_here(scene, nodes)
    description = describe_scene(scene, nodes, name)
    colours.SetMRMLScene(None)
    files: dict[str, bytes | Path] = {f"{name}/{name}.mrml": description}
    for role, node in nodes.roles():
        if role in FILE_OF_ROLE:
            folder = f"{name}_Private" if node.GetHideFromEditors() else "Data"  # where Slicer looks for hidden ones
            files[f"{name}/{folder}/{FILE_OF_ROLE[role]}"] = job_folder / FILE_OF_ROLE[role]
    files.update({f"{name}/Data/{file}": content for file, content in made.items()})
    _write_zip(out, files)


def describe_scene(scene: slicer.vtkMRMLScene, nodes: ResultNodes, name: str) -> bytes:
    """The text of the .mrml file, in which each node names its file under `Data`.

    Args:
        scene: Scene with the result and its views.
        nodes: The nodes whose files lie beside the description.
        name: Name of the scene.

    Returns:
        UTF-8 text.

    Raises:
        CorruptResultError: If Slicer reports an error.
    """
    # Without a version Slicer does not warn that another application (the core alone) wrote the scene.
    scene.SetVersion(None)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for node, file in _stored(scene, nodes):
            node.AddDefaultStorageNode(str(root / "Data" / file))
        scene.SetRootDirectory(str(root))
        scene.SetURL(str(root / f"{name}.mrml"))
        messages = slicer.vtkMRMLMessageCollection()
        if not scene.Commit(None, messages):
            msg = f"Slicer could not describe the scene: {messages.GetAllMessagesAsString()}"
            raise CorruptResultError(msg)
        return (root / f"{name}.mrml").read_bytes()


def _stored(scene: slicer.vtkMRMLScene, nodes: ResultNodes) -> list[tuple[slicer.vtkMRMLStorableNode, str]]:
    """Each node with the name of its file."""
    names = {**FILE_OF_ROLE, "ledger": LEDGER_FILE}
    stored = [(node, names[role]) for role, node in nodes.roles()]
    colours = find_trust_colours(scene)
    return stored if colours is None else [*stored, (colours, COLOURS_FILE)]


def _files_made_here(scene: slicer.vtkMRMLScene, nodes: ResultNodes) -> dict[str, bytes]:
    """What no job has in the form that Slicer reads: the ledger's table, and the colours of the trust map."""
    files: dict[str, bytes] = {}
    if nodes.ledger is not None:
        files.update(_table_files(nodes.ledger))
    colours = find_trust_colours(scene)
    if colours is not None:
        files[COLOURS_FILE] = _colour_text(colours).encode()
    return files


def _table_files(table: slicer.vtkMRMLTableNode) -> dict[str, bytes]:
    """The table and the kinds of its columns, as Slicer writes them.

    Raises:
        CorruptResultError: If Slicer refuses to.
    """
    with tempfile.TemporaryDirectory() as folder:
        storage = slicer.vtkMRMLTableStorageNode()
        storage.SetFileName(str(Path(folder) / LEDGER_FILE))
        if not storage.WriteData(table):
            msg = "Slicer could not write the table of the ledger."
            raise CorruptResultError(msg)
        return {file.name: file.read_bytes() for file in sorted(Path(folder).iterdir())}


def _colour_text(colours: slicer.vtkMRMLColorTableNode) -> str:
    """Slicer's own format, a number, a name and four times 0 to 255, without the path that Slicer would write."""
    lines = []
    for index in range(colours.GetNumberOfColors()):
        colour = [0.0] * 4
        colours.GetColor(index, colour)
        lines.append(f"{index} {colours.GetColorName(index)} {' '.join(str(round(255 * part)) for part in colour)}\n")
    return "".join(lines)


def _write_zip(out: Path, files: dict[str, bytes | Path]) -> None:
    temporary = out.with_name(f".part-{out.name}")
    try:
        with zipfile.ZipFile(temporary, "w") as archive:
            for name, content in files.items():
                entry = zipfile.ZipInfo(name, NO_DATE)
                entry.external_attr = 0o644 << 16
                data = content.read_bytes() if isinstance(content, Path) else content
                # Images are compressed already.
                packed = zipfile.ZIP_STORED if name.endswith(".nrrd") else zipfile.ZIP_DEFLATED
                archive.writestr(entry, data, compress_type=packed)
        temporary.replace(out)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise output_error(out, error) from error
