"""The name of a contract in, its JSON schema (draft 2020-12) out: what other programs may rely on in our files."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any, Literal

SchemaName = Literal["bundle", "request", "result", "provenance", "ledger"]


def load_schema(name: SchemaName) -> dict[str, Any]:
    """The schema of `bundle.json`, `request.json`, `result.json`, `provenance.json` or `ledger.json`."""
    file = resources.files("MedTranslateLib.core") / "schemas" / f"{name}.schema.json"
    schema: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return schema
