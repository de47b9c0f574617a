"""A panel's method in, a Qt slot out whose errors reach the user and the log instead of the console alone."""

from __future__ import annotations

import functools
import inspect
import logging
from collections.abc import Callable
from typing import Any

from MedTranslateLib.core.errors import MedTranslateError


def slot(method: Callable[..., Any]) -> Callable[..., None]:
    """Makes a method of a panel safe to be called by Qt or VTK.

    A signal may give more arguments than the method wants; the rest is left out. What goes wrong is shown in the
    panel's message bar: an exception that leaves a slot would only be printed where no clinician looks.

    Args:
        method: Method of an object with a `messages` attribute, a `MessageBar`.

    Returns:
        The slot. It gives nothing back.
    """
    wanted = len(inspect.signature(method).parameters) - 1

    @functools.wraps(method)
    def guarded(self: Any, *arguments: Any) -> None:
        try:
            method(self, *arguments[:wanted])
        except MedTranslateError as error:
            self.messages.error(str(error))
        except Exception as error:  # the one place where a panel must answer whatever happens
            logging.getLogger("MedTranslate").exception("%s failed", method.__qualname__)
            self.messages.error(f"Internal error ({type(error).__name__}: {error}). Please report it with the log.")

    return guarded
