"""A block that runs a network in, the same numbers out for a slice whatever lies in its batch; and settings for that.

torch's normalisation of groups on a CPU cuts a batch into as many pieces as there are threads, wherever that cuts: sums
then depend on what lies beside a slice, in half precision by up to one part in 256. Everything else that the networks
are made of was found to give equal bits for any batch (`Testing/library/test_memory_plan_results.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from MedTranslateLib.inference.devices import mixed_precision, supports_bfloat16


@contextmanager
def network_at_work(device: torch.device) -> Iterator[None]:
    """What a network runs under: no gradient, half precision where it is fast, slices that know nothing of each other.

    Args:
        device: Where it runs.
    """
    with torch.inference_mode(), mixed_precision(device, enabled=supports_bfloat16(device)):
        if device.type != "cpu":
            yield
            return
        with _EachSliceAlone():
            yield


def make_repeatable(threads: int) -> None:
    """The same run gives the same numbers: so many threads, and no choice of algorithms by how fast they just were.

    Args:
        threads: Of the processor.
    """
    torch.set_num_threads(threads)
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True


class _EachSliceAlone(TorchFunctionMode):
    """Normalises the groups of one slice after the other."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Called by torch in place of each of its functions."""
        options = dict(kwargs or {})
        if func is not functional.group_norm or len(args[0]) == 1:
            return func(*args, **options)
        batch, *others = args
        return torch.cat([functional.group_norm(one, *others, **options) for one in batch.split(1)])
