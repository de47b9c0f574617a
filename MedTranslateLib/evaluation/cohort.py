"""Units of work and a function in, an outcome for each out; worked on by several processes, here or elsewhere, by Dask.

A unit that fails, or takes its process down with it, never stops the others. What was lost with a process is tried
again when all else is done, one unit at a time: then the one that is to blame is known, and no other wants the memory.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import os
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import dask
from dask.system import CPU_COUNT
from distributed import Client, Future, KilledWorker, LocalCluster, Security, as_completed, rpc
from distributed.utils import silence_logging_cmgr

from MedTranslateLib.core.errors import ConfigError, MedTranslateError

Work = Callable[[Mapping[str, Any]], Any]
CONNECT_S = 5.0
"""How long a scheduler may take to answer, and then to name its first worker."""
NUMERIC_THREADS = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS",
)
"""What numeric libraries read when they are loaded: with a process a core, more threads only wait for each other."""
SETTINGS: dict[str, Any] = {
    "distributed.scheduler.allowed-failures": 0,  # what was lost is tried again here, alone
    "distributed.scheduler.worker-saturation": 1.0,  # no unit waits in a process that another one may end
    "distributed.scheduler.worker-ttl": None,  # compiled code that keeps the interpreter for minutes is no dead worker
    "distributed.scheduler.no-workers-timeout": "2 minutes",
    "distributed.scheduler.http.routes": [],
    "distributed.worker.http.routes": [],
    "distributed.worker.profile.enabled": False,
    # not Dask's MALLOC_TRIM_THRESHOLD_: with it work on arrays of some 100 KB is almost four times slower
    "distributed.nanny.pre-spawn-environ": {},
}
DIED = (
    "The process that worked on it ended before it was done, twice: it was killed, or it crashed, or the memory of the "
    "machine was not enough. Try again with fewer workers."
)
GONE = "The scheduler forgot it, or is gone. Start the scheduler again, then run again."


@dataclass(frozen=True)
class Unit:
    """Something that can be done by itself, in any process.

    Args:
        key: Names it among all units.
        label: What a user calls it.
        work: What the function is given, JSON-able.
    """

    key: str
    label: str
    work: Mapping[str, Any]


@dataclass(frozen=True)
class Outcome:
    """What became of a unit.

    Args:
        key, label: Those of the unit.
        message: Why it failed; None where it was done.
        seconds: How long it took in its process; None where it failed.
        answer: What the function returned; None where it failed.
    """

    key: str
    label: str
    message: str | None = None
    seconds: float | None = None
    answer: Any = None

    @property
    def failed(self) -> bool:
        """Whether there is no result."""
        return self.message is not None


OnUnit = Callable[[Outcome, int, int], None]
"""Called as `on_unit(outcome, done, total)`."""


@dataclass(frozen=True)
class CohortOptions:
    """Where the work is done.

    Args:
        scheduler: Address of a Dask scheduler that is already there; None starts processes of our own. It and its
            workers need this package, and see the same files. Where all its workers go, new ones are waited for.
        workers: Number of processes of our own; 0 takes one a core. Never more than there are units.
        threads_per_worker: Units that one of them works on at once.

    Raises:
        ConfigError: If a number is out of range.
    """

    scheduler: str | None = None
    workers: int = 0
    threads_per_worker: int = 1

    def __post_init__(self) -> None:
        """Checks the numbers."""
        if self.workers < 0 or self.threads_per_worker < 1:
            msg = (
                f"Got {self.workers} workers with {self.threads_per_worker} threads each; expected 0 workers (one a "
                "core) or more, with at least 1 thread."
            )
            raise ConfigError(msg)


@dataclass(frozen=True)
class _Lost:
    """A unit whose process ended."""

    number: int


def run_cohort(units: Sequence[Unit], do: Work, options: CohortOptions, on_unit: OnUnit) -> list[Outcome]:
    """Does every unit, each in one of several processes.

    Args:
        units: What is to be done, under different keys.
        do: Does one of them: a function at the top of a module that every worker can import. It is given `unit.work`,
            stores its own result, and returns something small, or nothing. It may be called again for a unit whose
            process ended in the middle.
        options: Where.
        on_unit: Told each outcome as it comes.

    Returns:
        The outcomes in the order of the units.

    Raises:
        ConfigError: If two units have one key, or the scheduler does not answer or has no workers.
    """
    _check_keys(units)
    if not units:
        return []
    with silence_logging_cmgr(logging.CRITICAL), _client(options, len(units)) as client:
        return _Cohort(client, units, do, on_unit).run()


@contextmanager
def local_scheduler(workers: int = 0, threads_per_worker: int = 1) -> Iterator[str]:
    """While inside, processes of our own wait for work at an address; several calls of `run_cohort` may share it.

    It cannot be reached from another machine.

    Args:
        workers: Number of processes; 0 takes one a core.
        threads_per_worker: Units that one of them works on at once.
    """
    with (
        _one_thread_each(),
        dask.config.set(SETTINGS),
        tempfile.TemporaryDirectory(prefix="medtranslate-", ignore_cleanup_errors=True) as scratch,
        LocalCluster(
            n_workers=workers or CPU_COUNT,
            threads_per_worker=threads_per_worker,
            processes=True,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            scheduler_kwargs={"dashboard": False},
            silence_logs=logging.CRITICAL,
            local_directory=scratch,
            memory_limit=None,  # one large unit may need the share of its neighbours
        ) as cluster,
    ):
        yield cluster.scheduler_address


class _Cohort:
    """One call of `run_cohort`, with a client that is connected."""

    def __init__(self, client: Client, units: Sequence[Unit], do: Work, on_unit: OnUnit) -> None:
        self._client, self._units, self._on_unit = client, units, on_unit
        self._do = functools.partial(_timed, do)
        self._outcomes: dict[int, Outcome] = {}

    def run(self) -> list[Outcome]:
        """All units at once; then those whose process ended, one by one."""
        lost = [settled.number for settled in self._settle(range(len(self._units))) if isinstance(settled, _Lost)]
        for number in lost:
            for _ in self._settle([number], last_try=True):
                pass
        return [self._outcomes[number] for number in range(len(self._units))]

    def _settle(self, numbers: Sequence[int], *, last_try: bool = False) -> Iterator[Outcome | _Lost]:
        run = uuid.uuid4().hex
        of_key = {f"unit-{run}-{number}": number for number in numbers}
        futures = self._client.map(self._do, [self._units[n].work for n in numbers], key=list(of_key), pure=False)
        waiting = as_completed(futures, loop=self._client.loop)
        del futures  # each is let go when it has been looked at, and with it what the workers keep of it
        for future in waiting:
            number = of_key[future.key]
            settled = self._look_at(future, number)
            if last_try and isinstance(settled, _Lost):
                settled = self._failed(number, DIED)
            if isinstance(settled, Outcome):
                self._outcomes[number] = settled
                self._on_unit(settled, len(self._outcomes), len(self._units))
            yield settled

    def _look_at(self, future: Future, number: int) -> Outcome | _Lost:
        if future.cancelled():
            return self._failed(number, GONE)
        error = future.exception()
        if isinstance(error, KilledWorker):
            return _Lost(number)
        if error is not None:
            return self._failed(number, _message(error))
        try:
            seconds, answer = future.result()
        except KilledWorker:  # its process ended after it was done, and another one on the second way
            return _Lost(number)
        unit = self._units[number]
        return Outcome(unit.key, unit.label, None, seconds, answer)

    def _failed(self, number: int, message: str) -> Outcome:
        return Outcome(self._units[number].key, self._units[number].label, message)


def _timed(do: Work, work: Mapping[str, Any]) -> tuple[float, Any]:
    started = time.perf_counter()
    answer = do(work)
    return time.perf_counter() - started, answer


def _message(error: BaseException) -> str:
    """One line that says why; errors of ours are sentences already."""
    if isinstance(error, MedTranslateError):
        return " ".join(str(error).split())
    if isinstance(error, MemoryError):
        return "The memory of the machine was not enough. Try again with fewer workers."
    why = f" ({error.__cause__})" if error.__cause__ else ""
    return " ".join(f"{type(error).__name__}: {error}{why}".split())


def _check_keys(units: Sequence[Unit]) -> None:
    labels: dict[str, str] = {}
    for unit in units:
        if unit.key in labels:
            msg = f"{labels[unit.key]!r} and {unit.label!r} have one key, {unit.key}; expected a key for each unit."
            raise ConfigError(msg)
        labels[unit.key] = unit.label


@contextmanager
def _client(options: CohortOptions, count: int) -> Iterator[Client]:
    if options.scheduler is not None:
        _check_scheduler(options.scheduler)
        with Client(options.scheduler, timeout=CONNECT_S, set_as_default=False) as client:
            _await_worker(client, options.scheduler)
            yield client
        return
    workers = min(options.workers or CPU_COUNT, count)
    with (
        local_scheduler(workers, options.threads_per_worker) as address,
        Client(address, set_as_default=False) as client,
    ):
        yield client


def _check_scheduler(address: str) -> None:
    """Asks who is there: a client of Dask would wait for ever for one that accepts the connection and says nothing."""
    try:
        kind = asyncio.run(asyncio.wait_for(_kind_of_server(address), CONNECT_S))
        reason = f"it is a {kind.lower()}"
    except MemoryError:  # the text of another protocol was taken for the size of an answer
        kind, reason = "", "it speaks another protocol"
    except (OSError, ValueError, asyncio.TimeoutError) as error:
        kind, reason = "", str(error) or f"no answer in {CONNECT_S:g} s"
    if kind != "Scheduler":
        msg = (
            f"No Dask scheduler answers at {address!r} ({reason}). Expected an address such as tcp://host:8786; start "
            "one with `dask scheduler`, or give no address to work with processes of this machine."
        )
        raise ConfigError(msg)


async def _kind_of_server(address: str) -> str:
    async with rpc(address, connection_args=Security().get_connection_args("client")) as server:
        return str((await server.identity())["type"])


def _await_worker(client: Client, address: str) -> None:
    try:
        client.wait_for_workers(1, timeout=CONNECT_S)
    except (TimeoutError, asyncio.TimeoutError) as error:
        msg = f"The Dask scheduler at {address!r} has no workers. Start at least one with `dask worker {address}`."
        raise ConfigError(msg) from error


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """What is started inside inherits one thread for each numeric library; afterwards our environment is as before."""
    before = dict(os.environ)
    os.environ.update(dict.fromkeys(NUMERIC_THREADS, "1"))
    try:
        yield
    finally:
        for name in set(os.environ) - set(before):
            del os.environ[name]
        os.environ.update(before)
