"""`medtranslate bundles` as a user types it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from MedTranslateLib.bundles.places import FOLDER_VARIABLE
from MedTranslateLib.bundles.store import BundleStore
from MedTranslateLib.cli import bundles as command
from MedTranslateLib.cli.main import main
from MedTranslateLib.core.schemas import load_schema

MakeBundle = Callable[..., Path]
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def shipped(tmp_path: Path, make_bundle: MakeBundle) -> Path:
    """A folder with one shipped bundle, `brain-shipped`."""
    folder = tmp_path / "shipped"
    folder.mkdir()
    make_bundle("brain-shipped", reversible=False).rename(folder / "brain-shipped")
    return folder


@pytest.fixture
def run(shipped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs `medtranslate bundles ...`; gives exit code, standard output and standard error."""
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "user"))
    monkeypatch.setattr(command, "default_store", lambda: BundleStore((shipped,), Path(os.environ[FOLDER_VARIABLE])))

    def medtranslate_bundles(*arguments: str | Path) -> tuple[int, str, str]:
        code = main(["bundles", *map(str, arguments)])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return medtranslate_bundles


def spoil(folder: Path) -> None:
    (folder / "weights.safetensors").write_bytes(b"changed")


def test_list_shows_one_aligned_line_a_bundle(run: Run, make_bundle: MakeBundle) -> None:
    run("add", make_bundle("b"))
    code, out, err = run("list")
    header, first, second = out.splitlines()
    assert (code, err) == (0, "")
    assert " ".join(first.split()) == "brain-shipped T1 -> FLAIR brain identity 1.0.0 shipped verified"
    assert " ".join(second.split()) == "b T1 <-> FLAIR brain identity 1.0.0 user verified"
    for title, cell in (("TRANSLATES", "T1 "), ("METHOD", "identity"), ("STATE", "verified")):
        assert header.index(title) == first.index(cell) == second.index(cell)


def test_list_tells_what_is_wrong_with_a_bundle_and_shows_the_others(
    run: Run, make_bundle: MakeBundle, tmp_path: Path
) -> None:
    run("add", make_bundle("brain-a"))
    run("add", make_bundle("brain-b"))
    spoil(tmp_path / "user" / "brain-a")
    (tmp_path / "user" / "brain-b" / "bundle.json").unlink()
    code, out, _ = run("list")
    lines = {line.split()[0]: line for line in out.splitlines()}
    assert code == 0
    assert "BROKEN: Bundle brain-a: weights.safetensors is not the published file." in lines["brain-a"]
    assert "BROKEN: brain-b/bundle.json: not there" in lines["brain-b"]
    assert lines["brain-shipped"].endswith("verified")


def test_list_of_nothing_says_how_to_add_a_bundle(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(command, "default_store", lambda: BundleStore((), tmp_path / "nowhere"))
    assert run("list") == (
        0,
        "No bundles are installed. Add one with `medtranslate bundles add FOLDER_OR_ZIP`.\n",
        "",
    )


def test_list_as_json_holds_names_origins_and_errors(run: Run, make_bundle: MakeBundle, tmp_path: Path) -> None:
    run("add", make_bundle("b"))
    spoil(tmp_path / "user" / "b")
    (tmp_path / "user" / "torn").mkdir()
    code, out, _ = run("list", "--json")
    shipped, changed, torn = json.loads(out)
    assert code == 0
    assert shipped == {
        "name": "brain-shipped",
        "folder": str(tmp_path / "shipped" / "brain-shipped"),
        "origin": "shipped",
        "error": None,
        "version": "1.0.0",
        "source": "T1",
        "target": "FLAIR",
        "reversible": False,
        "anatomy": "brain",
        "method": "identity",
        "plane": "axial",
    }
    assert (changed["name"], changed["origin"]) == ("b", "user")
    assert "is not the published file" in changed["error"]
    assert (torn["name"], set(torn)) == ("torn", {"name", "folder", "origin", "error"})


def test_show_prints_the_card_and_where_the_bundle_lies(run: Run, tmp_path: Path) -> None:
    code, out, _ = run("show", "brain-shipped")
    assert code == 0
    assert out.startswith("brain-shipped 1.0.0\nT1 -> FLAIR\n")
    assert out.endswith(f"Installed in {tmp_path / 'shipped' / 'brain-shipped'} (shipped).\n")


def test_show_as_json_is_the_manifest_that_the_schema_describes(run: Run, shipped: Path) -> None:
    code, out, _ = run("show", "brain-shipped", "--json")
    assert code == 0
    assert out == (shipped / "brain-shipped" / "bundle.json").read_text(encoding="utf-8")
    Draft202012Validator(load_schema("bundle")).validate(json.loads(out))


def test_show_of_an_unknown_bundle_suggests_the_closest_and_ends_with_2(run: Run) -> None:
    code, out, err = run("show", "brain-shiped")
    assert (code, out) == (2, "")
    assert err.startswith("medtranslate: error: There is no bundle 'brain-shiped'")
    assert "Did you mean 'brain-shipped'?" in err
    assert "Traceback" not in err


def test_verify_of_one_bundle_or_of_all(run: Run, make_bundle: MakeBundle) -> None:
    run("add", make_bundle("b"))
    assert run("verify", "b") == (0, "b: verified, 1 file(s)\n", "")
    assert run("verify") == (0, "brain-shipped: verified\nb: verified\n", "")


def test_verify_of_changed_weights_ends_with_2(run: Run, make_bundle: MakeBundle, tmp_path: Path) -> None:
    run("add", make_bundle("b"))
    spoil(tmp_path / "user" / "b")
    code, out, err = run("verify", "b")
    assert (code, out) == (2, "")
    assert "Expected SHA-256" in err
    # printf changed | sha256sum
    assert "got d67e2e944994496c8d8ec76eed0cf9f09679448d584b532bebf941852a37f5ed" in err
    code, out, _ = run("verify")
    assert code == 2
    assert out.startswith("brain-shipped: verified\nb: Bundle b: weights.safetensors is not the published file.")


def test_add_says_where_the_bundle_lies_now(run: Run, make_bundle: MakeBundle, tmp_path: Path) -> None:
    code, out, err = run("add", make_bundle("b"))
    assert (code, err) == (0, "")
    assert out == f"b 1.0.0 (T1 <-> FLAIR) is verified and lies in {tmp_path / 'user' / 'b'}.\n"


def test_add_of_tampered_weights_ends_with_2_and_installs_nothing(
    run: Run, make_bundle: MakeBundle, tmp_path: Path
) -> None:
    folder = make_bundle("b")
    spoil(folder)
    code, out, err = run("add", folder)
    assert (code, out) == (2, "")
    assert "weights.safetensors is not the published file" in err
    assert not (tmp_path / "user").exists()


def test_remove_deletes_an_added_bundle_and_refuses_a_shipped_one(
    run: Run, make_bundle: MakeBundle, tmp_path: Path
) -> None:
    run("add", make_bundle("b"))
    assert run("remove", "b") == (0, f"Removed {tmp_path / 'user' / 'b'}.\n", "")
    code, _, err = run("remove", "brain-shipped")
    assert code == 2
    assert "came with MedTranslate and cannot be removed" in err
    code, _, err = run("remove", "b")
    assert code == 2
    assert "There is no bundle 'b'" in err


@pytest.mark.parametrize("arguments", [(), ("show",), ("add",), ("rename", "b"), ("list", "--yaml")])
def test_a_mistyped_action_ends_with_2_and_the_usage(run: Run, arguments: tuple[str, ...]) -> None:
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith("usage: medtranslate")
