"""A study folder in, its plan and the paths of its images out, each compared with the seal before it is used."""

from __future__ import annotations

from pathlib import Path

from MedTranslateLib.core.errors import StudyError
from MedTranslateLib.studies.key import KEY
from MedTranslateLib.studies.prepare_plan import PLAN, SEAL, PlanItem, check_file, check_sealed, read_plan, read_seal
from MedTranslateLib.studies.prepare_plan import sha256_of as sha256_of_file
from MedTranslateLib.studies.session_store import AnswerStore

KEY_OPENED = "key_opened"
Signature = tuple[int, int, int]


class CheckedFiles:
    """The files of a study.

    All are read and compared with the seal once; afterwards a file is read again where its size, time or place on disk
    has changed.

    Args:
        folder: The study folder.

    Raises:
        StudyError: If it holds no study.
        StudyChangedError: If a file is missing or not the one that was sealed.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seal = read_seal(folder)
        check_sealed(folder)
        self.plan = read_plan(folder)
        self.seal_sha256 = sha256_of_file(folder / SEAL)
        self._expected = {**self._seal.files, PLAN: self._seal.study_sha256, SEAL: self.seal_sha256}
        self._seen = {name: _signature(folder / name) for name in self._expected}

    def of(self, names: tuple[str, ...]) -> tuple[Path, ...]:
        """Paths of files.

        Args:
            names: Relative to the study folder.
        """
        return tuple(self._folder / name for name in names)

    def paths(self, item: PlanItem) -> tuple[Path, ...]:
        """Paths of all images of an item.

        Args:
            item: An item of the plan.
        """
        return self.of((*item.images, *item.sources))

    def check(self, item: PlanItem) -> None:
        """Compares the plan, the seal and the images of an item with the seal, where they may have changed.

        Args:
            item: An item of the plan.

        Raises:
            StudyChangedError: If one is missing or was changed.
        """
        for name in (PLAN, SEAL, *item.images, *item.sources):
            found = _signature(self._folder / name)
            if found is None or found != self._seen[name]:
                check_file(self._folder, name, self._expected[name])
                self._seen[name] = found

    def check_key_is_sealed(self, store: AnswerStore) -> None:
        """Refuses to go on once the key has been opened.

        Args:
            store: The study's answers and events.

        Raises:
            StudyError: If the key is open.
        """
        if (self._folder / KEY).exists() or any(event.kind == KEY_OPENED for event in store.events()):
            msg = "The key of this study has been opened: answers would not be blind any more, so none are taken."
            raise StudyError(msg)


def _signature(path: Path) -> Signature | None:
    """What changes when a file does; None where it is missing."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return (stat.st_size, stat.st_mtime_ns, stat.st_ino)
