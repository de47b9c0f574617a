"""Standard input of the worker in, its lines out; and what happens when it closes: nothing more, or the end of all."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from queue import SimpleQueue
from typing import NoReturn

from MedTranslateLib.core.messages import LineSplitter

CHUNK = 1 << 16


def lines() -> Iterator[str]:
    """The lines of standard input as they come, UTF-8 on every system, until it closes."""
    splitter = LineSplitter()
    while chunk := os.read(sys.stdin.fileno(), CHUNK):
        yield from splitter.feed(chunk)
    rest = splitter.rest()
    if rest:
        yield rest


def lines_while_parent_lives() -> Iterator[str]:
    """As `lines`, but when standard input closes, this process and its children end at once.

    Whoever started us holds the other end of standard input. The system closes it when that process ends, for whatever
    reason, also when it was killed. A thread waits for that, so it is noticed in the middle of a job as well. Where
    there are process groups, this process becomes the leader of its own, so that its children end with it.

    Returns:
        The lines, without an end; the watch has begun before the first one is asked for.
    """
    _lead_own_process_group()
    waiting: SimpleQueue[str | None] = SimpleQueue()
    threading.Thread(target=_hand_on, args=(waiting,), daemon=True).start()
    return iter(waiting.get, None)


def end_with_children() -> NoReturn:
    """Ends this process and the children in its process group, without any clearing up."""
    if sys.platform != "win32":
        os.killpg(os.getpid(), signal.SIGKILL)
    os._exit(1)


def _hand_on(waiting: SimpleQueue[str | None]) -> None:
    try:
        for line in lines():
            waiting.put(line)
    finally:
        end_with_children()


def _lead_own_process_group() -> None:
    if sys.platform != "win32" and os.getpgrp() != os.getpid():
        os.setsid()
