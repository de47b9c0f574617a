"""What was translated by what, and how often, in; how the nodes of the result are called out."""

from __future__ import annotations

from dataclasses import dataclass

SYNTHETIC = "SYNTHETIC"


@dataclass(frozen=True)
class ResultNames:
    """Names that tell source, bundle and run.

    Args:
        output: Name of the output; it says "SYNTHETIC".
        label: What the other nodes are parts of.
        study: Name of a study for them.
    """

    output: str
    label: str
    study: str

    def part(self, what: str) -> str:
        """Name of a node that belongs to the output."""
        return f"{what}: {self.label}"


def names_of_result(target: str, source: str, bundle: str, run: str) -> ResultNames:
    """Names of a result that the user did not name.

    Args:
        target: What the output shows, such as "CT".
        source: Name of the source.
        bundle: Name of the bundle.
        run: "2" for the second result of this source by this bundle; the first one's is not written.
    """
    by = f"by {bundle}" if run == "1" else f"by {bundle}, run {run}"
    label = f"{target} of {source} {by}"
    return ResultNames(f"{label} ({SYNTHETIC})", label, f"{source}: {target} {by}")


def named_by_user(names: ResultNames, output_name: str) -> ResultNames:
    """Names after the user's own name for the output, which says that it is synthetic in any case."""
    marked = SYNTHETIC.lower() in output_name.lower()
    return ResultNames(output_name if marked else f"{output_name} ({SYNTHETIC})", output_name, names.study)
