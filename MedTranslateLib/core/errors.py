"""The error tree: every mistake a user can make has a class here, and its message says what to do next."""

from __future__ import annotations


class MedTranslateError(Exception):
    """Base of every error that MedTranslate raises on purpose; `code` is stable and machine readable."""

    code = "internal"
    users_mistake = False


class UserError(MedTranslateError):
    """A wrong input or setting: the command line answers it with exit code 2."""

    code = "user"
    users_mistake = True


class SourceNotFoundError(UserError, FileNotFoundError):
    """The path given as a source does not exist."""

    code = "source_not_found"


class SourceUnreadableError(UserError, ValueError):
    """The file exists but no reader understands it, or it holds several series."""

    code = "source_unreadable"


class InvalidVolumeError(UserError, ValueError):
    """The image was read, but it is not one scalar volume with finite values and a usable geometry."""

    code = "invalid_volume"


class InputGateError(UserError, ValueError):
    """The volume does not fit the bundle (field of view, spacing, intensity range)."""

    code = "input_gate"


class DoubtfulInputError(InputGateError):
    """The volume may not fit the bundle; it is translated only if the user accepts that."""

    code = "input_doubtful"


class BundleNotFoundError(UserError, KeyError):
    """No bundle of that name is installed."""

    code = "bundle_not_found"

    def __str__(self) -> str:
        """KeyError would print the message in quotation marks."""
        return str(self.args[0]) if self.args else ""


class BundleInvalidError(UserError, ValueError):
    """A manifest is incomplete, has unknown keys, or names files that are not there."""

    code = "bundle_invalid"


class BundleTamperedError(UserError, ValueError):
    """A file of a bundle does not have the SHA-256 that its manifest states."""

    code = "bundle_tampered"


class ConfigError(UserError, ValueError):
    """A configuration file has an unknown key, a missing key or a value out of range."""

    code = "config"


class RequestError(UserError, ValueError):
    """A translation request asks for something the bundle or the method cannot do."""

    code = "request"


class DeviceError(UserError, ValueError):
    """The device asked for is unknown or not available on this machine."""

    code = "device"


class OutputError(UserError, OSError):
    """A result cannot be written: no permission, no space, or something is in the way."""

    code = "output"


class JobFolderError(UserError, ValueError):
    """A job folder is incomplete, damaged or already used."""

    code = "job_folder"


class StudyError(UserError, ValueError):
    """A reader study's design, folder or answer is wrong, or a step comes at the wrong time."""

    code = "study"


class StudyChangedError(StudyError):
    """A file of a reader study is missing or is not the one that was sealed."""

    code = "study_changed"


class ReaderBusyError(StudyError):
    """Another session of the same reader is open."""

    code = "reader_busy"


class ClockSetBackError(StudyError):
    """The computer's clock shows a time before one that was already stored."""

    code = "clock_set_back"


class AnswerNotSavedError(UserError, OSError):
    """An answer could not be stored; it does not count and can be given again."""

    code = "answer_not_saved"


class DependencyMissingError(UserError, ImportError):
    """An optional package that this command needs is not installed."""

    code = "dependency_missing"


class CorruptResultError(MedTranslateError, RuntimeError):
    """The worker ended without an error but its result is missing or incomplete."""

    code = "corrupt_result"


class WorkerDiedError(MedTranslateError, RuntimeError):
    """The worker process ended without a result."""

    code = "worker_died"
