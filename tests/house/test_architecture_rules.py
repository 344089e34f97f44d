"""The rules of ARCHITECTURE.md and CONTRIBUTING.md that a program can check."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from attninfluence import _core
from tests.kit.child import ROOT
from tools import rooms

CORE = ROOT / "csrc" / "core"
BINDINGS = ROOT / "csrc" / "python"

LONGEST_FILE = 600
MOST_FILES = 20  # of a folder: one that outgrows it has two nouns
MOST_ROOMS, MOST_FLOORS = 22, 11
LONGEST_C_FUNCTION = 60
LONGEST_PYTHON_FUNCTION = 60
MEDIAN_C_FUNCTION = 20


def sources(folder: Path, *suffixes: str) -> list[Path]:
    found = sorted(path for path in folder.rglob("*") if path.suffix in suffixes)
    assert found, f"no {suffixes} under {folder}"
    return found


def code(path: Path) -> str:
    """A C file without comments and without the insides of strings; lines stay lines."""
    text = path.read_text(encoding="utf-8")

    def blank(match: re.Match[str]) -> str:
        token = match.group()
        return '""' if token.startswith('"') else "\n" * token.count("\n")

    return re.sub(r'"(?:\\.|[^"\\\n])*"|/\*.*?\*/|//[^\n]*', blank, text, flags=re.DOTALL)


def includes(path: Path) -> set[str]:
    return set(re.findall(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]', path.read_text(), re.MULTILINE))


def offences(paths: list[Path], pattern: str) -> list[str]:
    """`file:line: text` of every line of code that matches."""
    found = []
    for path in paths:
        for number, line in enumerate(code(path).splitlines(), start=1):
            if re.search(pattern, line):
                found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()}")
    return found


HOUSES = {"package": rooms.package_house, "core": rooms.core_house}


@pytest.mark.parametrize("name", HOUSES)
def test_rooms_stand_on_one_another(name: str) -> None:
    """Every import and include goes from a later room to an earlier one, none in a circle.

    `python tools/rooms.py` prints the arrows that do not.
    """
    house = HOUSES[name]()
    assert {rooms.room_of(file) for file in house.files} <= set(house.rooms)
    assert not house.upward()
    assert not house.circle()
    assert len(house.rooms) <= MOST_ROOMS
    assert max(house.floors().values()) <= MOST_FLOORS


def test_the_picture_has_each_room_on_its_floor() -> None:
    picture = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8").split("```")[1]
    for part, house in zip(picture.split("ati.h"), HOUSES.values(), strict=True):
        floor, drawn = 0, {}
        for line in part.splitlines():
            floor = int(line[:3]) if line[:3].strip().isdigit() else floor
            drawn |= dict.fromkeys(re.findall(r"(?<=  )[a-z]+(?=  )", line), floor)
        assert drawn | {"_core": 1} == house().floors() | {"_core": 1}


def test_an_import_upwards_and_a_circle_are_seen(tmp_path: Path) -> None:
    package = tmp_path / "attninfluence"
    written = {
        "base/text.py": "",
        "base/frame.py": "from attninfluence.base import text",
        "heads/view.py": "import attninfluence.base.frame",
        "__init__.py": "from attninfluence.heads.view import nothing",
    }
    for name, content in written.items():
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_text(content)
    sound = rooms.package_house(package)
    assert sound.files["heads/view"] == {"base/frame"}
    assert not sound.upward() and not sound.circle() and sound.floors() == {"base": 1, "heads": 2}

    (package / "base/text.py").write_text(
        "def f():\n    from attninfluence.heads.view import something"
    )
    house = rooms.package_house(package)
    assert house.upward() == ["base/text needs heads/view"]
    assert set(house.circle()) == {"base/text", "base/frame", "heads/view"}

    (package / "base/text.py").write_text("from attninfluence import load")
    assert rooms.package_house(package).upward() == ["base/text needs __init__"]

    (package / "base/text.py").write_text(
        "if TYPE_CHECKING:\n    from attninfluence.base import frame"
    )
    assert rooms.package_house(package).circle()


def test_an_include_upwards_and_a_circle_are_seen(tmp_path: Path) -> None:
    for name, included in (("base/a.h", "run/c.h"), ("base/a.c", "ati.h"), ("run/c.h", "base/a.h")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f'#include <stdio.h>\n#include "{included}"\n')
    house = rooms.core_house(tmp_path)
    assert house.upward() == ["base/a.h needs run/c.h"]
    assert set(house.circle()) == {"base/a.h", "run/c.h"}


def test_no_room_is_full() -> None:
    folders = [path for path in (ROOT / "attninfluence").rglob("*") if path.is_dir()]
    folders += [path for path in (ROOT / "tests").rglob("*") if path.is_dir()]
    counts = {folder: len(list(folder.glob("*.py"))) for folder in folders}
    counts |= {folder: len(list(folder.glob("*.c"))) for folder in CORE.glob("*")}
    assert sum(counts.values()) > 300
    assert not {folder for folder, files in counts.items() if files > MOST_FILES}


JSON_READERS = {
    "base/json_values.py": "the one reader",
    "corpus/jsonl.py": "documents, of any depth that Python's decoder takes, in lines without end",
}


def test_one_file_reads_json() -> None:
    """What nests too deeply, is too large or is no JSON gets its sentence there."""
    package = ROOT / "attninfluence"
    callers = {
        str(path.relative_to(package)): f"{node.lineno}"
        for path in sources(package, ".py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute)
        and node.attr in ("load", "loads", "JSONDecoder")
        and isinstance(node.value, ast.Name)
        and node.value.id == "json"
    }
    others = {file: line for file, line in callers.items() if file not in JSON_READERS}
    assert callers.keys() >= JSON_READERS.keys()
    assert not others


def test_the_core_knows_no_python() -> None:
    for path in sources(CORE, ".c", ".h"):
        foreign = {name for name in includes(path) if re.search(r"[Pp]ython|numpy", name)}
        assert not foreign, f"{path} includes {foreign}"
    assert not offences(sources(CORE, ".c", ".h"), r"\b_?Py[A-Z_]\w*")


def test_the_core_neither_prints_nor_exits() -> None:
    words = (
        r"\b(v?f?printf|puts|fputs|putchar|perror|exit|_exit|_Exit|quick_exit|abort|atexit)\s*\("
    )
    assert not offences(sources(CORE, ".c", ".h"), words)
    assert not offences(sources(CORE, ".c", ".h"), r"\b(std(out|err)|[sp]?etenv|setlocale)\b")


def test_the_core_has_no_stack_of_unknown_size() -> None:
    unbounded = r"\b(alloca|setjmp|longjmp|gets|strcpy|strcat|sprintf)\b"
    assert not offences(sources(CORE, ".c", ".h"), unbounded)


def test_the_bindings_do_no_arithmetic() -> None:
    """Neither mathematics nor floating-point numbers: those belong to the core."""
    paths = sources(BINDINGS, ".c", ".h")
    assert not [path for path in paths if "math.h" in includes(path)]
    assert not offences(paths, r"\b(exp|log|sqrt|pow|fabs|tanh|sin|cos)f?\s*\(")
    assert not offences(paths, r"(?<![\w.])\d+\.\d*f?(?!\w)|\b(double|float)\s+\w+\s*=")


def test_the_bindings_see_only_the_public_header() -> None:
    own = {path.name for path in sources(BINDINGS, ".h")}
    internal = {path.name for path in sources(CORE, ".h")} - {"ati.h"}
    for path in sources(BINDINGS, ".c", ".h"):
        used = {Path(name).name for name in includes(path)}
        assert not (used & internal) - own, f"{path} includes {(used & internal) - own}"


def test_one_file_calls_blas() -> None:
    elsewhere = [path for path in sources(CORE, ".c", ".h") if path.name != "blas.c"]
    assert not offences(elsewhere, r"\bcblas_|\bdl(open|sym)\b|\bopenblas_")
    assert not offences(sources(BINDINGS, ".c", ".h"), r"\bcblas_|\bdl(open|sym)\b|gemm")


def test_no_flag_reorders_floating_point() -> None:
    files = [ROOT / name for name in ("setup.py", "pyproject.toml", "Makefile", "csrc/Makefile")]
    files += sources(CORE, ".c", ".h")
    banned = r"-ffast-math|-Ofast|-march=native|-mtune=native|-funsafe-math|-ffp-contract=fast"
    banned += r"|-fassociative-math|STDC FP_CONTRACT ON|optimize\s*\(\s*\"?fast"
    for path in files:
        if path.exists():
            assert not re.search(banned, path.read_text(encoding="utf-8")), path


def long_files(paths: list[Path]) -> list[tuple[int, str]]:
    counts = [(len(path.read_text("utf-8").splitlines()), path.name) for path in paths]
    return [entry for entry in counts if entry[0] > LONGEST_FILE]


def c_functions(path: Path) -> Iterator[tuple[str, int]]:
    """Name and lines of every function; the closing brace stands in the first column."""
    name, start = "", 0
    for number, line in enumerate(code(path).splitlines()):
        if re.match(r"[a-zA-Z_].*\(", line):
            name, start = line.split("(")[0].split()[-1].lstrip("*"), number
        elif line.startswith("}") and name:
            yield name, number - start + 1
            name = ""


def test_c_functions_and_files_are_short() -> None:
    lengths = []
    for path in sources(ROOT / "csrc", ".c", ".h"):
        lengths += [(length, f"{name} of {path.name}") for name, length in c_functions(path)]
    assert len(lengths) > 100, "the functions were not found"
    assert not [entry for entry in lengths if entry[0] > LONGEST_C_FUNCTION]
    assert not long_files(sources(ROOT / "csrc", ".c", ".h"))
    assert sorted(lengths)[len(lengths) // 2][0] <= MEDIAN_C_FUNCTION


def python_functions(path: Path) -> Iterator[tuple[str, int]]:
    """Name and lines of every function, without its docstring."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0]
            documented = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
            start = first.end_lineno if documented else node.lineno
            assert start is not None and node.end_lineno is not None
            yield node.name, node.end_lineno - start + 1


def test_python_functions_and_files_are_short() -> None:
    paths = sources(ROOT / "attninfluence", ".py") + sources(ROOT / "tests", ".py")
    assert not long_files(paths)
    lengths = [
        (length, f"{name} of {path.name}")
        for path in paths
        for name, length in python_functions(path)
    ]
    assert not [entry for entry in lengths if entry[0] > LONGEST_PYTHON_FUNCTION]


def archive(folder: Path) -> Path:
    """libati.a, compiled here from the core's sources alone."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or shutil.which("nm") is None or shutil.which("ar") is None:
        pytest.skip("needs a C compiler, ar and nm")
    objects: list[Path] = []
    for path in sources(CORE, ".c"):
        assert folder / f"{path.stem}.o" not in objects, f"two files of the core are {path.name}"
        objects.append(folder / f"{path.stem}.o")
        # Without position-independent code, so that constant tables count as constant.
        flags = ["-std=c11", "-O0", "-fvisibility=hidden", "-fno-pic", "-fno-pie"]
        flags += ["-I", str(CORE)]
        subprocess.run([compiler, *flags, "-c", str(path), "-o", str(objects[-1])], check=True)
    subprocess.run(["ar", "rcs", str(folder / "libati.a"), *map(str, objects)], check=True)
    return folder / "libati.a"


def symbols(library: Path, *options: str) -> list[tuple[str, str, str]]:
    """(object file, kind, name) of every symbol."""
    command = ["nm", *options, str(library)]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found, member = [], library.name
    for line in output.splitlines():
        if line.endswith(".o:"):
            member = line[:-1]
        elif line.strip():
            kind, name = line.split()[-2:]
            found.append((member, kind, name))
    return found


def test_the_core_compiles_alone_and_its_symbols_carry_a_prefix(tmp_path: Path) -> None:
    library = archive(tmp_path)
    strange = [s for s in symbols(library, "-g", "--defined-only") if not s[2].startswith("ati_")]
    assert not strange
    # Variables that could change, of any visibility: only the door to BLAS keeps some.
    kept = [s for s in symbols(library) if s[1] in "bBdDC" and s[0] != "blas.o"]
    assert not kept


def test_the_extension_exports_its_init_function_and_the_public_header() -> None:
    if shutil.which("nm") is None:
        pytest.skip("needs nm")
    exported = symbols(Path(_core.__file__), "-D", "-g", "--defined-only")
    public = set(re.findall(r"\bati_\w+(?=\()", (CORE / "ati.h").read_text(encoding="utf-8")))
    names = {name for _, _, name in exported if not name.startswith(("__asan", "__odr_asan"))}
    assert "PyInit__core" in names
    assert names <= {"PyInit__core"} | public


def tracked_files() -> list[Path]:
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    output = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
    return [ROOT / name for name in output.stdout.decode().split("\0") if name]


def test_no_file_names_a_place_on_somebodys_machine() -> None:
    """Paths of the computer it was written on have no business in a repository."""
    own_words = (Path(__file__).resolve(), ROOT / "attninfluence" / "texts" / "packaged.jsonl")
    place = re.compile(rb"(?<![\w.])/(work|home|root|opt/venv|tmp/plan|Users)/\w")
    for path in tracked_files():
        if path.is_file() and path.resolve() not in own_words and path.stat().st_size < 2_000_000:
            match = place.search(path.read_bytes())
            assert match is None, f"{path.relative_to(ROOT)} names {match and match.group()!r}"
