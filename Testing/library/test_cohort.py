"""Units are done in processes of their own, in any order, by any number of them; one that fails stops no other."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
from distributed import LocalCluster

from MedTranslateLib.core.errors import ConfigError, InvalidVolumeError
from MedTranslateLib.evaluation import cohort
from MedTranslateLib.evaluation.cohort import CohortOptions, Outcome, Unit, local_scheduler, run_cohort
from MedTranslateLib.evaluation.unit_store import UnitStore

ROOT, HERE = Path(__file__).resolve().parents[2], Path(__file__).resolve().parent
LONG_S = 120
KILL = getattr(signal, "SIGKILL", signal.SIGTERM)  # Windows has the second only, and it ends a process as surely
RUN_SQUARES = """
import sys
from pathlib import Path
from MedTranslateLib.evaluation.cohort import CohortOptions, run_cohort
from MedTranslateLib.evaluation.unit_store import UnitStore
from test_cohort import squares, squares_units
store = UnitStore(Path(sys.argv[1]))
left = [unit for unit in squares_units(Path(sys.argv[1]), int(sys.argv[2])) if not store.has(unit.key)]
print("left", len(left), flush=True)
run_cohort(left, squares, CohortOptions(workers=2), lambda outcome, done, total: print(done, flush=True))
"""


def squares(work):
    """Stores the sum of the squares up to n, and an array that depends on n alone."""
    n = work["n"]
    if n >= work.get("waits_from", n + 1):
        threading.Event().wait(LONG_S)
    total = sum(k * k for k in range(n + 1))
    UnitStore(Path(work["folder"])).write(work["key"], {"total": total}, {"a": np.full(n + 1, n / 3)})
    return total


def squares_units(folder: Path, count: int, **more: int) -> list[Unit]:
    keys = [f"{n:04x}" for n in range(count)]
    return [Unit(key, f"n = {n}", {"n": n, "key": key, "folder": str(folder), **more}) for n, key in enumerate(keys)]


def misbehave(work):
    """Does what its work says, after a line in a file that tells the try."""
    with Path(work["tries"]).open("a") as file:
        file.write(f"{work['how']}\n")
    if work["how"] == "killed" or (work["how"] == "killed once" and tries(work["tries"]).count("killed once") == 1):
        os.kill(os.getpid(), KILL)
    errors = {
        "ours": InvalidVolumeError("a.nrrd: has NaN;\nexpected finite values."),
        "system": FileNotFoundError(2, "No such file", "a.nrrd"),
        "memory": MemoryError(),
        "bug": KeyError("missing"),
    }
    if work["how"] in errors:
        raise errors[work["how"]]
    return work["how"]


def tries(path: Path | str) -> list[str]:
    return Path(path).read_text().splitlines()


def tell_process(_work):
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS")
    return {"pid": os.getpid(), "parent": os.getppid(), **{name: os.environ.get(name) for name in names}}


def ignore(_outcome: Outcome, _done: int, _total: int) -> None:
    pass


@pytest.fixture(scope="module")
def shared():
    """Two processes that most tests share."""
    with local_scheduler(2) as address:
        yield CohortOptions(scheduler=address)


def test_results_and_their_order_depend_neither_on_the_processes_nor_on_the_order_of_the_units(tmp_path, shared):
    units = squares_units(tmp_path / "two", 9)
    shuffled = [Unit(u.key, u.label, {**u.work, "folder": str(tmp_path / "one")}) for u in units]
    shuffled = [shuffled[number] for number in (4, 8, 0, 3, 7, 1, 6, 2, 5)]
    of_two = run_cohort(units, squares, shared, ignore)
    of_one = run_cohort(shuffled, squares, CohortOptions(workers=1), ignore)
    # n (n + 1) (2 n + 1) / 6
    assert [outcome.answer for outcome in of_two] == [0, 1, 5, 14, 30, 55, 91, 140, 204]
    assert [outcome.answer for outcome in of_one] == [30, 204, 0, 14, 140, 1, 91, 5, 55]
    assert [outcome.label for outcome in of_one] == [unit.label for unit in shuffled]
    names = sorted(path.name for path in (tmp_path / "two").iterdir())
    assert len(names) == 18
    for name in names:
        assert (tmp_path / "two" / name).read_bytes() == (tmp_path / "one" / name).read_bytes()


def test_a_unit_that_fails_or_kills_its_process_is_listed_and_the_others_are_done(tmp_path, shared):
    ways = ["fine", "ours", "killed", "system", "fine too", "killed once", "memory", "bug", "last"]
    told: list[tuple[str, int, int]] = []
    outcomes = run_cohort(
        [Unit(f"{n}", way, {"how": way, "tries": str(tmp_path / "tries")}) for n, way in enumerate(ways)],
        misbehave,
        shared,
        lambda outcome, done, total: told.append((outcome.label, done, total)),
    )
    assert [outcome.label for outcome in outcomes] == ways
    messages = {outcome.label: outcome.message for outcome in outcomes if outcome.failed}
    assert messages.pop("killed").startswith("The process that worked on it ended before it was done, twice")
    assert messages == {
        "ours": "a.nrrd: has NaN; expected finite values.",
        "system": "FileNotFoundError: [Errno 2] No such file: 'a.nrrd'",
        "memory": "The memory of the machine was not enough. Try again with fewer workers.",
        "bug": "KeyError: 'missing'",
    }
    assert {o.label: o.answer for o in outcomes if not o.failed} == {
        way: way for way in ("fine", "fine too", "killed once", "last")
    }
    tried = tries(tmp_path / "tries")
    assert tried.count("killed") == tried.count("killed once") == 2
    assert [(done, total) for _, done, total in told] == [(n + 1, 9) for n in range(9)]
    assert sorted(label for label, _, _ in told) == sorted(ways)


def test_one_worker_is_a_process_of_its_own_with_one_thread_and_our_environment_stays_as_it_was(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.delenv("ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS", raising=False)
    before = dict(os.environ)
    (outcome,) = run_cohort([Unit("a", "a", {})], tell_process, CohortOptions(workers=1), ignore)
    told = outcome.answer
    assert told.pop("pid") != os.getpid()
    assert told.pop("parent") == os.getpid()
    assert set(told.values()) == {"1"}
    assert dict(os.environ) == before


def test_a_unit_tells_how_long_it_took(shared):
    (outcome,) = run_cohort([Unit("a", "a", {"s": 0.2})], wait, shared, ignore)
    assert outcome.seconds == pytest.approx(0.2, abs=0.15)


def wait(work):
    threading.Event().wait(work["s"])


def test_nothing_of_ours_listens_to_other_machines(shared):
    me = psutil.Process()
    listening = [
        connection.laddr.ip
        for process in (me, *me.children(recursive=True))
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert len(listening) >= 3
    assert set(listening) == {"127.0.0.1"}


def test_nothing_is_started_for_no_units(monkeypatch):
    monkeypatch.setattr(cohort, "LocalCluster", None)
    assert run_cohort([], squares, CohortOptions(), ignore) == []


def test_a_thousand_units_are_done(shared):
    units = [Unit(f"{n}", f"{n}", {"n": n}) for n in range(1000)]
    assert [outcome.answer for outcome in run_cohort(units, one_more, shared, ignore)] == list(range(1, 1001))


def one_more(work):
    return work["n"] + 1


def test_an_interrupt_goes_on_to_the_caller_and_ends_the_children(tmp_path):
    before = set(psutil.Process().children(recursive=True))
    seen: list[psutil.Process] = []

    def interrupt(*_: object) -> None:
        seen.extend(set(psutil.Process().children(recursive=True)) - before)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_cohort(squares_units(tmp_path, 4), squares, CohortOptions(workers=1), interrupt)
    assert [process for process in seen if "spawn_main" in " ".join(command_of(process))] == []
    assert len(seen) >= 1


def command_of(process: psutil.Process) -> list[str]:
    return process.cmdline() if process.is_running() and process.status() != psutil.STATUS_ZOMBIE else []


def silent() -> socket.socket:
    """Accepts a connection and says nothing, as the wrong port may do."""
    return socket.create_server(("127.0.0.1", 0))


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def refusal(address: str) -> str:
    started = time.monotonic()
    with pytest.raises(ConfigError) as caught:
        run_cohort([Unit("a", "a", {})], squares, CohortOptions(scheduler=address), ignore)
    assert time.monotonic() - started < 8
    return str(caught.value)


def test_a_scheduler_that_does_not_answer_is_an_error_and_no_wait_without_end(monkeypatch, shared):
    monkeypatch.setattr(cohort, "CONNECT_S", 0.7)
    with silent() as listener:
        assert "(no answer in 0.7 s)" in refusal(f"tcp://127.0.0.1:{listener.getsockname()[1]}")
    assert "(no answer in 0.7 s)" in refusal(f"tcp://127.0.0.1:{closed_port()}")
    assert "expected an address such as tcp://host:8786".lower() in refusal("host").lower()
    assert "unknown address scheme" in refusal("http://127.0.0.1:80")
    worker = next(iter(workers_of(shared.scheduler)))
    assert "(it is a worker)" in refusal(worker)


def workers_of(address: str | None) -> list[str]:
    from distributed import Client

    with Client(address, set_as_default=False) as client:
        return list(client.scheduler_info()["workers"])


def test_a_server_of_another_kind_is_no_scheduler():
    with silent() as listener:

        def answer() -> None:
            with listener.accept()[0] as connection:
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                connection.recv(100)

        thread = threading.Thread(target=answer)
        thread.start()
        assert "(it speaks another protocol)" in refusal(f"tcp://127.0.0.1:{listener.getsockname()[1]}")
        thread.join()


def test_a_scheduler_without_workers_is_an_error(monkeypatch):
    monkeypatch.setattr(cohort, "CONNECT_S", 0.7)
    with LocalCluster(n_workers=0, dashboard_address="127.0.0.1:0", scheduler_kwargs={"dashboard": False}) as cluster:
        assert "has no workers" in refusal(cluster.scheduler_address)


@pytest.mark.parametrize("numbers", [{"workers": -1}, {"threads_per_worker": 0}])
def test_a_number_of_workers_out_of_range_is_refused(numbers):
    with pytest.raises(ConfigError, match="expected 0 workers"):
        CohortOptions(**numbers)


def test_two_units_of_one_key_are_refused():
    with pytest.raises(ConfigError, match="'first' and 'second' have one key, aa"):
        run_cohort([Unit("aa", "first", {}), Unit("aa", "second", {})], squares, CohortOptions(), ignore)


def started(folder: Path, count: int) -> SimpleNamespace:
    """Another process that works on squares, with the lines it has written, up to the first unit done."""
    process = subprocess.Popen(
        [sys.executable, "-c", RUN_SQUARES, str(folder), str(count)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{HERE}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    left = int(process.stdout.readline().split()[1])
    return SimpleNamespace(process=process, left=left)


def check_squares(folder: Path, count: int) -> int:
    """How many results there are; each of them is right."""
    store, there = UnitStore(folder), 0
    for n in range(count):
        if store.has(f"{n:04x}"):
            content, arrays = store.read(f"{n:04x}")
            assert content == {"total": n * (n + 1) * (2 * n + 1) // 6}
            np.testing.assert_array_equal(arrays["a"], np.full(n + 1, n / 3))
            there += 1
    return there


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals are another thing there")
def test_a_run_that_is_killed_again_and_again_leaves_no_process_and_comes_to_its_end(tmp_path):
    count, there = 400, 0
    for after in (1, 15, 30, 60, 90):
        run = started(tmp_path, count)
        assert run.left == count - there
        for _ in range(after):
            run.process.stdout.readline()
        children = psutil.Process(run.process.pid).children(recursive=True)
        run.process.kill()
        run.process.communicate()
        _, alive = psutil.wait_procs(children, timeout=20)
        assert not alive
        there = check_squares(tmp_path, count)
        assert there >= after
    last = started(tmp_path, count)
    last.process.communicate(timeout=LONG_S)
    assert (last.process.returncode, check_squares(tmp_path, count)) == (0, count)
    assert len(list(tmp_path.iterdir())) == 2 * count


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals are another thing there")
@pytest.mark.parametrize("to_all", [False, True], ids=["to the run", "to all of its terminal"])
def test_ctrl_c_ends_a_run_and_its_busy_children_soon(tmp_path, to_all):
    code = RUN_SQUARES.replace(
        "squares_units(Path(sys.argv[1]), ", "squares_units(Path(sys.argv[1]), waits_from=2, count="
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path), "20"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{HERE}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    while process.stdout.readline() != "2\n":
        pass
    children = psutil.Process(process.pid).children(recursive=True)
    begun = time.monotonic()
    (os.killpg if to_all else os.kill)(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=LONG_S)
    assert time.monotonic() - begun < 20
    assert said.rstrip().endswith("KeyboardInterrupt")
    assert said.count("Traceback") == 1  # only that of the run itself
    assert not psutil.wait_procs(children, timeout=10)[1]
