"""A job folder is complete or it is not: nothing in between looks like a result."""

from __future__ import annotations

import hashlib
import json
import os

import jsonschema
import numpy as np
import pytest
import SimpleITK as sitk
import torch

from MedTranslateLib.checks.gate import GateReport, Verdict
from MedTranslateLib.core.errors import CorruptResultError, JobFolderError, OutputError, RequestError
from MedTranslateLib.core.request import TranslationRequest
from MedTranslateLib.core.schemas import load_schema
from MedTranslateLib.imaging.job_folder import Job, read_request, read_result, read_source, write_job, write_result
from MedTranslateLib.inference.pipeline import translate
from MedTranslateLib.inference.weights import load_bundle


@pytest.fixture
def result(oblique_head, make_bundle):
    bundle = load_bundle(make_bundle("identity", size_hw=(64, 64)), torch.device("cpu"))
    request = TranslationRequest("identity")
    return translate(request, oblique_head, bundle, GateReport(Verdict.FITS), lambda *_: None)


def test_a_job_comes_back_as_it_was_written(tmp_path, oblique_head):
    request = TranslationRequest("some-bundle", "oblique", "MR", reverse=True, steps=3, seed=11)
    write_job(tmp_path / "job", Job(request, oblique_head))
    assert read_request(tmp_path / "job") == request
    source = read_source(tmp_path / "job")
    np.testing.assert_array_equal(source.array_kji, oblique_head.array_kji)
    assert source.geometry.same_grid(oblique_head.geometry)
    assert (source.name, source.modality) == ("oblique", "MR")


def test_a_result_comes_back_as_it_was_written(tmp_path, result):
    write_result(tmp_path, result)
    again = read_result(tmp_path)
    np.testing.assert_array_equal(again.translated.array_kji, result.translated.array_kji)
    np.testing.assert_array_equal(again.validity_kji, result.validity_kji)
    assert again.translated.geometry.same_grid(result.translated.geometry)
    assert again.correspondence.origin is result.correspondence.origin
    assert again.provenance == result.provenance
    assert again.uncertainty is None


def test_simpleitk_reads_the_output_on_the_source_grid(tmp_path, result, oblique_head):
    write_result(tmp_path, result)
    image = sitk.ReadImage(str(tmp_path / "translated.nrrd"))
    lps = np.array(image.TransformIndexToPhysicalPoint((3, 5, 7)))
    np.testing.assert_allclose(lps * [-1, -1, 1], oblique_head.geometry.ras_from_ijk([3, 5, 7]), atol=1e-6)


def test_equal_results_give_equal_image_bytes(tmp_path, result):
    hashes = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        write_result(tmp_path / name, result)
        files = ("translated.nrrd", "forward_field.nrrd", "inverse_field.nrrd", "validity.nrrd")
        hashes.append([hashlib.sha256((tmp_path / name / file).read_bytes()).hexdigest() for file in files])
    assert hashes[0] == hashes[1]


def test_request_result_and_provenance_keep_to_their_schemas(tmp_path, result, oblique_head):
    job = tmp_path / "job"
    write_job(job, Job(TranslationRequest("identity"), oblique_head))
    write_result(job, result)
    for name in ("request", "result", "provenance"):
        jsonschema.validate(json.loads((job / f"{name}.json").read_text()), load_schema(name))


def test_a_folder_without_result_json_is_no_result(tmp_path, result):
    write_result(tmp_path, result)
    (tmp_path / "result.json").unlink()
    with pytest.raises(JobFolderError, match="holds no finished translation"):
        read_result(tmp_path)


@pytest.mark.parametrize("name", ["translated.nrrd", "forward_field.nrrd", "validity.nrrd", "provenance.json"])
def test_a_changed_file_is_noticed_by_its_hash(tmp_path, result, name):
    write_result(tmp_path, result)
    content = bytearray((tmp_path / name).read_bytes())
    content[len(content) // 2] ^= 255
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CorruptResultError, match=name):
        read_result(tmp_path)


def test_writing_a_job_removes_an_older_result_first(tmp_path, result, oblique_head):
    job = tmp_path / "job"
    job.mkdir()
    write_result(job, result)
    (job / ".part-source.nrrd").write_text("left by a killed run")
    write_job(job, Job(TranslationRequest("other"), oblique_head))
    assert sorted(path.name for path in job.iterdir()) == ["request.json", "source.nrrd"]


def test_a_folder_with_the_users_own_files_is_not_touched(tmp_path, oblique_head):
    (tmp_path / "thesis.docx").write_text("years of work")
    with pytest.raises(OutputError, match=r"not empty: it holds 'thesis\.docx'.*nothing was overwritten"):
        write_job(tmp_path, Job(TranslationRequest("other"), oblique_head))
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.docx"]


def test_a_file_in_the_way_of_the_folder_is_named(tmp_path, oblique_head):
    (tmp_path / "out").write_text("a file")
    with pytest.raises(OutputError, match="out"):
        write_job(tmp_path / "out", Job(TranslationRequest("other"), oblique_head))


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="permissions do not bind this user")
def test_a_folder_without_permission_is_named(tmp_path, oblique_head):
    (tmp_path / "closed").mkdir(mode=0o500)
    with pytest.raises(OutputError, match="no permission"):
        write_job(tmp_path / "closed" / "job", Job(TranslationRequest("other"), oblique_head))


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"format": 1}, "the key 'bundle' is missing"),
        ({"format": 1, "bundle": "b", "colour": "red"}, "unknown key 'colour'"),
        ({"format": 2, "bundle": "b"}, "format 1"),
        ({"format": 1, "bundle": "b", "steps": 0}, "steps must be a whole number from 1"),
        ({"format": 1, "bundle": "b", "samples": 2.5}, "samples must be a whole number"),
        ({"format": 1, "bundle": "b", "seed": -1}, "seed must be a whole number from 0"),
        ([], "must be a table"),
    ],
)
def test_a_wrong_request_names_the_key(table, words):
    with pytest.raises(RequestError, match=words):
        TranslationRequest.from_json(table)
