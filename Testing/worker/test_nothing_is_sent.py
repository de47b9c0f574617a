"""No command speaks to another computer: every look-up and connection of a run is refused, and the run succeeds."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from MedTranslateLib.imaging.writing import write_volume

# `sitecustomize` is imported by every Python that starts with it on its path: by the worker of a command as well.
GUARD = """
import os, sys

def refuse(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto", "socket.bind"):
        with open(os.environ["MEDTRANSLATE_TEST_TALK"], "a") as file:
            file.write(f"{event} {arguments!r}\\n")
        raise OSError("this machine has no network")

sys.addaudithook(refuse)
"""


@pytest.fixture
def run_alone(tmp_path, monkeypatch):
    """Runs a command; gives its answer and what it tried to reach."""
    (tmp_path / "guard").mkdir()
    (tmp_path / "guard" / "sitecustomize.py").write_text(GUARD)
    talk = tmp_path / "talk.txt"
    talk.touch()
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "guard"))
    monkeypatch.setenv("MEDTRANSLATE_TEST_TALK", str(talk))

    def run(*arguments):
        command = [sys.executable, "-m", "MedTranslateLib", *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
        return done, talk.read_text()

    return run


def test_the_guard_sees_a_connection(run_alone, tmp_path):
    code = "import socket; socket.create_connection(('127.0.0.1', 9))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=False)
    assert "this machine has no network" in done.stderr
    assert "socket." in (tmp_path / "talk.txt").read_text()


def test_a_translation_and_its_trace_reach_nobody_and_its_folder_is_its_owner_s(
    run_alone, tmp_path, oblique_head, make_bundle
):
    source, out = tmp_path / "head.nrrd", tmp_path / "out"
    write_volume(source, oblique_head)
    bundle = make_bundle("bidpm", "bidpm", {"channels": [16, 16]}, size_hw=(64, 64), spacing_mm=3.0)
    done, talk = run_alone("translate", source, "--bundle", bundle, "--out", out, "--device", "cpu")
    assert done.returncode == 0, done.stderr
    assert (out / "overview.png").is_file()
    assert sys.platform == "win32" or out.stat().st_mode & 0o077 == 0
    middle = oblique_head.geometry.ras_from_ijk([75, 65, 15])
    done, talk = run_alone("trace", out, "--point", *middle)
    assert json.loads(done.stdout)["state"] == "ok"
    assert talk == ""
