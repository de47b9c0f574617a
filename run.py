"""MedTranslate without preparation: sets up `.venv` beside this file, once, and runs a command in it.

python3 run.py demo [ARGUMENTS]      the main job on a sample volume, into demo-output unless --out names a folder
python3 run.py test [ARGUMENTS]      style, types and tests; --slow adds the kill, soak and fuzz runs, --slicer PATH the
                                     panels inside that 3D Slicer (also: SLICER), anything else is passed on to pytest
python3 run.py COMMAND [ARGUMENTS]   any other command of medtranslate, for example: translate SOURCE --bundle NAME

--torch-index cpu | URL              the package index that gives PyTorch at the first run, where it is not the usual
                                     one (also: MEDTRANSLATE_TORCH_INDEX). On Linux the usual build brings CUDA,
                                     several GB; `cpu` is the small one without.

Needs nothing but Python 3.10 to 3.13, on Linux, Windows, or a Mac with Apple silicon.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

OLDEST, NEWEST = (3, 10), (3, 13)


def wrong_python(version: "Sequence[int]", arguments: "Sequence[str]") -> str:  # Python 2? MedTranslate needs 3.10
    """Says which Python is needed and how to get or call it."""
    names = [f"python3.{minor}" for minor in range(NEWEST[1], OLDEST[1] - 1, -1)]
    better = next(filter(starts, names), "py -3.12" if os.name == "nt" else "python3.12 (from https://www.python.org)")
    this = ".".join(str(number) for number in version)
    command = " ".join(arguments) or "demo"
    return f"MedTranslate needs Python 3.10 to 3.13, this is {this}; run it with: {better} run.py {command}"


def starts(command: str) -> bool:
    """Tells whether an interpreter runs; version managers leave names on the path that only complain."""
    found = shutil.which(command)
    return found is not None and subprocess.call([found, "-c", ""], stderr=subprocess.DEVNULL) == 0


if not OLDEST <= sys.version_info[:2] <= NEWEST:  # here, because older Pythons stop at the annotations below
    sys.stderr.write(wrong_python(sys.version_info[:3], sys.argv[1:]) + "\n")
    sys.exit(2)

ROOT = Path(__file__).resolve().parent
PIN_FILES = ("requirements.txt", "requirements-scene.txt", "requirements-test.txt")
TORCH_INDEXES = {"cpu": "https://download.pytorch.org/whl/cpu"}
GATES = {"style": ("ruff", "check", "--quiet"), "types": ("mypy", "--no-error-summary")}
if sys.version_info < (3, 11):  # the last numpy for Python 3.10 has other type hints than the later ones
    del GATES["types"]


class SetupError(Exception):
    """The environment cannot be set up; the message is one sentence for the user."""


class Stamp(NamedTuple):
    """What an environment was made from; `pins` is empty while it is incomplete."""

    python: str
    torch_index: str
    pins: str


def main(arguments: Sequence[str]) -> int:
    """Runs one command and returns its exit code; 2 where the environment cannot be set up."""
    try:
        torch_index, command = take_torch_index(arguments, os.environ)
        if not command or command[0] in ("-h", "--help"):
            print(__doc__)
            return 0 if command else 2
        if command[0] != "test":
            return run_medtranslate(ready_python(ROOT, torch_index), command)
        slicer, rest = take_slicer(command[1:], os.environ)
        return run_gates_and_tests(ready_python(ROOT, torch_index), rest, slicer)
    except SetupError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        return 130


def take_torch_index(arguments: Sequence[str], environment: Mapping[str, str]) -> tuple[str, list[str]]:
    """Splits `--torch-index` from the arguments, wherever it stands; empty where neither it nor the variable is set."""
    index, rest = take_option("--torch-index", "cpu, or the URL of a package index", arguments)
    index = index or environment.get("MEDTRANSLATE_TORCH_INDEX", "")
    return TORCH_INDEXES.get(index, index), rest


def take_slicer(arguments: Sequence[str], environment: Mapping[str, str]) -> tuple[str, list[str]]:
    """Splits `--slicer` from the arguments: the Slicer whose panels are tested, empty where none is said."""
    said, rest = take_option("--slicer", "the path of Slicer's executable", arguments)
    said = said or environment.get("SLICER", "")
    if said and not Path(said).is_file():
        msg = f"There is no Slicer at {said}: expected the path of Slicer's executable, such as Slicer-5.12/Slicer."
        raise SetupError(msg)
    return str(Path(said).absolute()) if said else "", rest  # the tests run in another folder


def take_option(option: str, value_is: str, arguments: Sequence[str]) -> tuple[str, list[str]]:
    """Splits an option of ours and its value from the arguments; empty where it is not among them."""
    rest = list(arguments)
    for place, word in enumerate(rest):
        name, equals, value = word.partition("=")
        if name == option:
            value = value if equals else "".join(rest[place + 1 : place + 2])
            if not value:
                msg = f"{option} needs a value: {value_is}."
                raise SetupError(msg)
            del rest[place : place + (1 if equals else 2)]
            return value, rest
    return "", rest


def run_medtranslate(python: Path, command: Sequence[str]) -> int:
    """Runs `medtranslate COMMAND` where the user stands, so that relative paths mean what they say."""
    words = list(command)
    if words[0] == "demo" and not any(word.partition("=")[0] == "--out" for word in words):
        words += ["--out", "demo-output"]
    environment = {**clean_environment(), "PYTHONPATH": str(ROOT), "MEDTRANSLATE_COMMAND": "python3 run.py"}
    return exit_code(subprocess.call([str(python), "-m", "MedTranslateLib", *words], env=environment))


def run_gates_and_tests(python: Path, arguments: Sequence[str], slicer: str) -> int:
    """Runs every gate, then pytest, whose summary is the last line of a good run; 1 where only a gate failed."""
    failed = [name for name, tool in GATES.items() if not passes(name, [str(python), "-m", *tool])]
    print("tests ...", flush=True)
    pytest = [str(python), "-m", "pytest", *arguments]
    environment = {**clean_environment(), "SLICER": slicer}
    code = exit_code(subprocess.call(pytest, cwd=ROOT, env=environment))
    if failed:
        print(f"Failed besides the tests: {', '.join(failed)}; see above what they say.", file=sys.stderr)
    return code or int(bool(failed))


def passes(name: str, command: Sequence[str]) -> bool:
    """Runs one gate and shows what it says where it fails."""
    print(f"{name} ...", end=" ", flush=True)
    started = time.monotonic()
    result = subprocess.run(
        command, cwd=ROOT, env=clean_environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    print(f"{'FAILED' if result.returncode else 'passed'} in {time.monotonic() - started:.0f} s", flush=True)
    if result.returncode:
        print(readable(result.stdout), flush=True)
    return result.returncode == 0


def ready_python(root: Path, torch_index: str) -> Path:
    """The interpreter of a complete environment with the pinned versions, which is made first where it is missing."""
    wanted = Stamp(".".join(map(str, sys.version_info[:2])), torch_index, pins_of(root))
    try:
        if not is_complete(root, wanted):
            with only_one(root / ".venv.lock"):
                if not is_complete(root, wanted):
                    make_environment(root, wanted)
    except OSError as error:
        raise SetupError(reason(f"{root / '.venv'} cannot be set up: {error}")) from error
    return interpreter(root)


def interpreter(root: Path) -> Path:
    """Where a virtual environment keeps its Python."""
    return root / ".venv" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def pins_of(root: Path) -> str:
    """SHA-256 of all pins."""
    return hashlib.sha256(b"".join((root / name).read_bytes() for name in PIN_FILES)).hexdigest()


def is_complete(root: Path, wanted: Stamp) -> bool:
    """Tells whether the environment is what is wanted; where no index is asked for, any will do."""
    stamp = read_stamp(root)
    if stamp is None or not interpreter(root).exists():
        return False
    return stamp == wanted._replace(torch_index=wanted.torch_index or stamp.torch_index)


def make_environment(root: Path, wanted: Stamp) -> None:
    """Installs the pins. An environment that was left incomplete, or is of another Python, is made anew."""
    venv, stamp = root / ".venv", read_stamp(root)
    if venv.exists() and stamp is None:
        msg = f"{venv} was not made by run.py; rename or remove it and run the same command again."
        raise SetupError(msg)
    only_pins_differ = stamp is not None and stamp.pins and is_complete(root, wanted._replace(pins=stamp.pins))
    if not only_pins_differ:
        if venv.exists():
            shutil.rmtree(venv)
        venv.mkdir()
    write_stamp(root, wanted._replace(pins=""))
    if not only_pins_differ:
        # not sys.executable: that may be the environment that was just removed
        base = getattr(sys, "_base_executable", sys.executable)
        step(f"Creating {venv} with Python {wanted.python}", [base, "-m", "venv", str(venv)])
    install(root, wanted.torch_index)
    write_stamp(root, wanted)


def install(root: Path, torch_index: str) -> None:
    """Installs PyTorch, whose downloads are shown because they are large, then everything else that is pinned."""
    pip = [str(interpreter(root)), "-m", "pip", "install", "--disable-pip-version-check", "--only-binary", ":all:"]
    torch = re.findall(r"^torch==\S+", (root / PIN_FILES[0]).read_text(encoding="utf-8"), re.MULTILINE)
    if torch_index:  # PyTorch alone is taken from there, what it needs comes from the usual index
        step(f"Installing {torch[0]} from {torch_index}", [*pip, "--no-deps", "-i", torch_index, *torch], show=True)
    step("Installing PyTorch and what it needs", [*pip, *torch], show=True)
    # what PyTorch needs is brought to its pinned version here: given as constraints above, pip explains a missing
    # network as a conflict
    files = [word for name in PIN_FILES for word in ("-r", str(root / name))]
    step("Installing the other pinned packages", [*pip, "--quiet", *files])


def step(title: str, command: Sequence[str], *, show: bool = False) -> None:
    """Runs one step of the installation; `show` lets its progress through to the terminal."""
    print(f"{title} ...", flush=True)
    started = time.monotonic()
    result = subprocess.run(
        command,
        env=clean_environment(),
        stdout=None if show else subprocess.PIPE,
        stderr=subprocess.PIPE,
        check=False,
    )
    if result.returncode:
        raise SetupError(f"{title} failed. " + reason(readable(result.stdout) + readable(result.stderr)))
    print(f"  done in {time.monotonic() - started:.0f} s", flush=True)


def reason(output: str) -> str:
    """One sentence for what a failed step printed: what is wrong and what to do."""
    known = {
        r"No space left|Errno 28|WinError 112|quota exceeded": "The disk is full: free about 4 GB",
        r"ensurepip|No module named '?venv": (
            "This Python has no venv module: install it, on Debian and Ubuntu with apt install python3-venv"
        ),
        r"from versions: none|ConnectionError|ProxyError|Max retries|timed out|SSLError|IncompleteRead|HTTPError": (
            "The package index cannot be reached: check the network, or set HTTPS_PROXY behind a proxy"
        ),
        r"Permission|Errno 13|Errno 30|Access is denied": (
            f"{ROOT} cannot be written to: copy it to a folder of yours"
        ),
    }
    for pattern, sentence in known.items():
        if re.search(pattern, output):
            return f"{sentence}, and run the same command again."
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR")] or lines or ["no reason was given"]
    return f"The last thing it said: {errors[-1]}"


def read_stamp(root: Path) -> Stamp | None:
    """What the environment was made from; None where there is none of ours."""
    try:
        return Stamp(**json.loads(stamp_file(root).read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError):  # cut short while it was written
        return Stamp("", "", "")


def write_stamp(root: Path, stamp: Stamp) -> None:
    """Replaces the record of what the environment was made from."""
    stamp_file(root).write_text(json.dumps(stamp._asdict()), encoding="utf-8")


def stamp_file(root: Path) -> Path:
    """The record lies in the environment, so that both go together."""
    return root / ".venv" / "medtranslate.json"


@contextmanager
def only_one(lock: Path) -> Iterator[None]:
    """Lets one run.py at a time set up; the system frees the lock when a process ends, however it ends."""
    with lock.open("w") as handle:
        if sys.platform == "win32":
            import msvcrt  # noqa: PLC0415  # only there

            msvcrt.locking(handle.fileno(), msvcrt.LK_LOCK, 1)
        else:
            import fcntl  # noqa: PLC0415  # only elsewhere

            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def clean_environment() -> dict[str, str]:
    """The environment without what would lead Python or pip out of `.venv`."""
    leading_out = ("PYTHONHOME", "PYTHONPATH", "PIP_USER", "PIP_TARGET", "PIP_PREFIX")
    return {name: value for name, value in os.environ.items() if name not in leading_out}


def readable(output: bytes | None) -> str:
    """Text of a process, whatever its encoding."""
    return (output or b"").decode("utf-8", errors="replace")


def exit_code(returned: int) -> int:
    """Exit code of a child; one that a signal ended counts 128 plus the signal, as in a shell."""
    return returned if returned >= 0 else 128 - returned


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
