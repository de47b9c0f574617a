"""Tables that a stranger may have written: read, or refused with a sentence; never anything else."""

from __future__ import annotations

import copy
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from test_bundles_manifest import FULL

from MedTranslateLib.bundles.manifest import MANIFEST, Manifest, read_manifest
from MedTranslateLib.core.errors import BundleInvalidError, CorruptResultError, RequestError, UserError
from MedTranslateLib.core.ledger import LedgerEntry
from MedTranslateLib.core.messages import EVENTS, from_line
from MedTranslateLib.core.request import TranslationRequest
from MedTranslateLib.core.schemas import load_schema

FUZZ = settings(
    max_examples=100, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just("axial")
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner))
MANIFESTS = Draft202012Validator(load_schema("bundle"))
REQUESTS = Draft202012Validator(load_schema("request"))
REQUEST = TranslationRequest("brain", "head", "MR", steps=2, samples=3, seed=4, device="cuda:0").to_json()
ENTRY = {
    "number": 1,
    "side": "source",
    "source_ras": [-12.5, 3.0, 41.25],
    "output_ras": [-12.0, 3.5, 41.25],
    "volume_mm3": 812.5,
    "strength": 2.5,
    "trust": None,
    "reason": "The output shows nothing where the source is bright.",
}


def places(table, path=()):
    """The way to every value in a table."""
    items = table.items() if isinstance(table, dict) else enumerate(table) if isinstance(table, list) else ()
    for key, value in items:
        yield (*path, key)
        yield from places(value, (*path, key))


@st.composite
def spoilt(draw, table):
    """The table with one to three values replaced, removed or added."""
    changed = copy.deepcopy(table)
    for _ in range(draw(st.integers(1, 3))):
        *parents, last = draw(st.sampled_from(sorted(places(changed), key=str)))
        at = changed
        for key in parents:
            at = at[key]
        change = draw(st.sampled_from(["replace", "remove", "add"]))
        if change == "replace":
            at[last] = draw(VALUES)
        elif change == "remove":
            del at[last]
        elif isinstance(at, dict):
            at[draw(st.text(max_size=6))] = draw(VALUES)
        if not changed:
            break
    return changed


def refused_in_words(read, kind):
    """Whether it was refused; anything but an error of that kind with a sentence fails the test."""
    try:
        read()
    except kind as error:
        sentence = str(error)
    else:
        return False
    assert len(sentence) > 10
    return True


@FUZZ
@given(table=spoilt(FULL.to_json()))
def test_a_manifest_is_accepted_only_where_the_published_schema_accepts_it(table, tmp_path):
    (tmp_path / MANIFEST).write_text(json.dumps(table), encoding="utf-8")
    if not refused_in_words(lambda: read_manifest(tmp_path), BundleInvalidError):
        assert MANIFESTS.is_valid(json.loads((tmp_path / MANIFEST).read_text(encoding="utf-8")))


@FUZZ
@given(table=spoilt(FULL.to_json()))
def test_a_manifest_that_is_accepted_comes_back_as_it_was(table):
    try:
        manifest = Manifest.from_json(table)
    except UserError:
        return
    assert Manifest.from_json(json.loads(json.dumps(manifest.to_json()))) == manifest


@FUZZ
@given(table=spoilt(REQUEST))
def test_a_request_is_accepted_only_where_the_published_schema_accepts_it(table):
    if not refused_in_words(lambda: TranslationRequest.from_json(table), RequestError):
        assert REQUESTS.is_valid(table)


@FUZZ
@given(table=spoilt(ENTRY))
def test_an_entry_of_the_ledger_is_read_or_refused(table):
    refused_in_words(lambda: LedgerEntry.from_json(table), CorruptResultError)


@FUZZ
@given(line=st.text(max_size=200) | spoilt({"event": "done", "job": "j", "result": "r", "seconds": 2}).map(json.dumps))
def test_a_line_of_the_worker_is_one_of_its_messages_or_nothing(line):
    message = from_line(line)
    assert message is None or (type(message) in EVENTS.values() and isinstance(message.job, str))


@pytest.mark.parametrize("depth", [500, 100_000])
def test_tables_without_end_are_refused(tmp_path, depth):
    deep = '{"a":' * depth + "1" + "}" * depth
    assert from_line(deep) is None
    (tmp_path / MANIFEST).write_text(deep)
    with pytest.raises(BundleInvalidError):
        read_manifest(tmp_path)
