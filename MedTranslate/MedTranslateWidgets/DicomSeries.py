"""A volume node in, the folder of the DICOM series it was read from out, as far as Slicer's database knows."""

from __future__ import annotations

from pathlib import Path

import slicer

INSTANCES = "DICOM.instanceUIDs"


def seriesFolderOf(node) -> str:
    """The one folder that holds all files of the node's series.

    Args:
        node: A volume node.

    Returns:
        Its path; empty where the node was not read from DICOM, where the database does not know it any more, or where
        the files lie in several folders.
    """
    database = getattr(slicer, "dicomDatabase", None)
    instances = (node.GetAttribute(INSTANCES) or "").split()
    if database is None or not database.isOpen or not instances:
        return ""
    files = [str(database.fileForInstance(instance) or "") for instance in instances]
    folders = {str(Path(file).parent) for file in files}
    return folders.pop() if all(files) and len(folders) == 1 and Path(files[0]).is_file() else ""
