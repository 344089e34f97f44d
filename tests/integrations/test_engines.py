"""Ray, datatrove, Spark and Daft, each run for real: the bits of `score`, nothing left behind.

The engines live in an environment of their own, made by tools/engines-venv.sh (`make test-full`
does); ATTNINFLUENCE_ENGINES_PYTHON names its Python.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
import uuid
from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

import attninfluence as ai
from tests.kit.child import ROOT
from tests.kit.mixed_rows import mixed_rows, string_array

pytestmark = pytest.mark.full

N_ROWS = 2000
FEW = 300  # where the number of threads is what matters
VARIABLE = "ATTNINFLUENCE_ENGINES_PYTHON"
MARK = "ATTNINFLUENCE_TEST_RUN"
SECONDS = 300


@pytest.fixture(scope="module")
def engines() -> str:
    """The Python that has the engines and the package."""
    python = os.environ.get(VARIABLE, "")
    if not shutil.which(python):
        pytest.fail(
            f"{VARIABLE} must name the Python of an environment made by tools/engines-venv.sh; "
            f"it is {python!r} (make test-full makes one and sets it)"
        )
    return python


@pytest.fixture(scope="module")
def java() -> None:
    if shutil.which("java") is None:
        pytest.skip(
            "no Java: install Debian's package default-jre-headless (make test-full does, as root)"
        )


@pytest.fixture(scope="module")
def table() -> pa.Table:
    rows = mixed_rows(N_ROWS)
    return pa.table(
        {
            "row": pa.array(range(N_ROWS)),
            "id": [row["id"] for row in rows],
            "domain": [row["domain"] for row in rows],
            "text": string_array([row["text"] for row in rows]),
        }
    )


@pytest.fixture(scope="module")
def corpus(table: pa.Table, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The rows as three Parquet files, one of them empty."""
    folder = tmp_path_factory.mktemp("engines") / "corpus"
    folder.mkdir()
    for name, part in (("a", table[:700]), ("b", table[700:]), ("c", table[:0])):
        pq.write_table(part, folder / f"{name}.parquet", row_group_size=400)
    return folder


@pytest.fixture(scope="module")
def few(table: pa.Table, corpus: Path) -> Path:
    """The first rows in one file."""
    path = corpus.parent / "few.parquet"
    pq.write_table(table[:FEW], path)
    return path


@pytest.fixture(scope="module")
def expected(table: pa.Table) -> pa.Table:
    scores = ai.score(row["text"] for row in mixed_rows(N_ROWS))
    columns = scores.to_arrow().replace_schema_metadata(None)
    return columns.rename_columns(["ai_" + name for name in columns.column_names])


def run_engine(python: str, *arguments: object, folder: Path, **environment: str) -> str:
    """Runs the engines' Python in `folder` and returns what it prints.

    Fails when it fails, when its processes did not share one copy of the packed weights, and
    when one of them is still there afterwards.
    """
    mark = uuid.uuid4().hex
    unset = ("PYTHONPATH", "OMP_NUM_THREADS", "ATTNINFLUENCE_NUM_THREADS")
    inherited = {name: value for name, value in os.environ.items() if name not in unset}
    own = {MARK: mark, "PYSPARK_PYTHON": python, "RAY_USAGE_STATS_ENABLED": "0"}
    own["ATTNINFLUENCE_CACHE"] = str(folder / "cache")
    try:
        done = subprocess.run(
            [python, *map(str, arguments)],
            cwd=folder,
            env={**inherited, **own, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=SECONDS,
            check=False,
        )
    finally:
        left = end_processes(mark)
    assert done.returncode == 0, f"exit status {done.returncode}: {done.stdout[-4000:]}"
    assert not left, f"still running: {left}"
    assert len(list(folder.glob("cache/packed/*.bin"))) == 1
    return done.stdout


def end_processes(mark: str, grace: float = 20) -> list[str]:
    """Ends the processes that carry the mark; the command lines of those there after `grace` s."""
    deadline = time.monotonic() + grace
    while (found := marked_processes(mark)) and time.monotonic() < deadline:
        time.sleep(0.2)
    for process in found:
        os.kill(process, signal.SIGKILL)
    return list(found.values())


def marked_processes(mark: str) -> Mapping[int, str]:
    """The command line of each process that inherited the mark, by its number."""
    found: dict[int, str] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if f"{MARK}={mark}".encode() in (folder / "environ").read_bytes():
                line = (folder / "cmdline").read_bytes().replace(b"\0", b" ")
                if line:  # none is a zombie
                    found[int(folder.name)] = line.decode(errors="replace")
        except OSError:
            pass  # it ended meanwhile, or is another user's
    return found


def assert_scored(path: Path, table: pa.Table, expected: pa.Table) -> None:
    """The Parquet files at `path` hold the rows of `table`, once each, and the columns expected."""
    found = pq.read_table(path).sort_by("row")
    assert found.num_rows == table.num_rows
    for wanted in (table, expected):
        for name in wanted.column_names:
            column = found[name].cast(wanted.schema.field(name).type).combine_chunks()
            assert column.equals(wanted[name].combine_chunks()), name


# ---- Ray ----

# The actors have both CPUs: no task that reads or writes files would ever start.
RAY = """
import os, sys
import pyarrow as pa
import pyarrow.parquet as pq
import ray
from attninfluence.integrations.ray import ScoreActor

class Told(ScoreActor):
    '''Says how many threads it uses, and in which process.'''
    def __call__(self, table):
        scored = super().__call__(table)
        told = {"threads": self._arguments["model"].threads, "process": os.getpid()}
        for name, value in told.items():
            scored = scored.append_column(name, pa.array([value] * len(scored), pa.int64()))
        return scored

source, target, actors, cpus = sys.argv[1:]
table = pq.read_table(source)
ray.init(num_cpus=2, include_dashboard=False)
scored = ray.data.from_arrow([table[start : start + 80] for start in range(0, len(table), 80)])
scored = scored.map_batches(
    Told,
    fn_constructor_kwargs={"text_column": "text"},
    batch_format="pyarrow",
    batch_size=64,
    num_cpus=int(cpus),
    compute=ray.data.ActorPoolStrategy(size=int(actors)),
)
batches = list(scored.iter_batches(batch_format="pyarrow", batch_size=None))
pq.write_table(pa.concat_tables(batches), target)
ray.shutdown()
"""


@pytest.mark.parametrize(("actors", "cpus"), [(2, 1), (1, 2)])
def test_ray(
    engines: str, few: Path, table: pa.Table, expected: pa.Table, tmp_path: Path,
    actors: int, cpus: int,
) -> None:  # fmt: skip
    run_engine(engines, "-c", RAY, few, tmp_path / "out", actors, cpus, folder=tmp_path)
    assert_scored(tmp_path / "out", table[:FEW], expected[:FEW])
    written = pq.read_table(tmp_path / "out")
    assert pc.unique(written["threads"]).to_pylist() == [min(cpus, os.cpu_count() or 1)]
    assert len(pc.unique(written["process"])) == actors


def test_example_of_ray(
    engines: str, corpus: Path, table: pa.Table, expected: pa.Table, tmp_path: Path
) -> None:
    script = ROOT / "examples" / "ray_data.py"
    printed = run_engine(engines, script, corpus, tmp_path / "out", folder=tmp_path)
    assert_scored(tmp_path / "out", table, expected)
    assert "1,965 rows: ok" in printed and "11 rows: bad_type" in printed


RAY_PIPELINE = """
import sys
import ray
from datatrove.executor import RayPipelineExecutor
from datatrove.pipeline.readers import JsonlReader
from datatrove.pipeline.writers import ParquetWriter
from attninfluence.integrations.datatrove import AttentionInfluenceScorer

source, target = sys.argv[1:]
ray.init(num_cpus=2, include_dashboard=False)
RayPipelineExecutor(
    [JsonlReader(source), AttentionInfluenceScorer(), ParquetWriter(target + "/out")],
    tasks=2,
    mem_per_cpu_gb=0.5,
    logging_dir=target + "/logs",
).run()
ray.shutdown()
"""


def test_datatrove_on_ray(
    engines: str, table: pa.Table, expected: pa.Table, tmp_path: Path
) -> None:
    """The documents that JSON lines can hold and datatrove's reader does not drop."""
    (tmp_path / "in").mkdir()
    rows = table.slice(0, FEW).cast(table.schema.set(3, pa.field("text", pa.binary()))).to_pylist()
    kept = {row["row"]: row["text"].decode() for row in rows if is_text(row["text"])}
    for part in range(2):
        lines = [
            json.dumps({"id": str(row), "text": text})
            for row, text in kept.items()
            if row % 2 == part
        ]
        (tmp_path / "in" / f"{part}.jsonl").write_text("\n".join(lines) + "\n")
    run_engine(engines, "-c", RAY_PIPELINE, tmp_path / "in", tmp_path, folder=tmp_path)
    found = pq.read_table(tmp_path / "out").to_pylist()
    assert {int(row["id"]) for row in found} == set(kept)
    for row in found:
        for name in ("ai_base_loss", "ai_ref_loss", "ai_n_tokens", "ai_status"):
            wanted = expected[name][int(row["id"])].as_py()
            value = row["metadata"][name]
            assert value == wanted or (wanted is None and value != value), (row["id"], name)


def is_text(raw: bytes | None) -> bool:
    try:
        return bool(raw and raw.decode())
    except UnicodeDecodeError:
        return False


# ---- Spark ----

SPARK = """
import os, sys
from functools import partial
from pyspark.sql import SparkSession
from pyspark.sql.types import LongType, StructType
from attninfluence.integrations.arrow import score_record_batches
from attninfluence.integrations.spark import spark_schema

def told(batches):
    '''Adds the number of threads that a task takes.'''
    import pyarrow as pa
    from attninfluence.model.threads import default_threads
    for batch in score_record_batches(batches, text_column="text", prefix="ai_"):
        threads = pa.array([default_threads()] * batch.num_rows, pa.int64())
        yield pa.RecordBatch.from_arrays(
            [*batch.columns, threads], names=[*batch.schema.names, "threads"]
        )

source, target, task_cpus = sys.argv[1:]
spark = (
    SparkSession.builder.master("local[2]")
    .config("spark.ui.enabled", "false")
    .config("spark.driver.bindAddress", "127.0.0.1")
    .config("spark.task.cpus", task_cpus)
    .config("spark.sql.execution.arrow.maxRecordsPerBatch", 64)
    .getOrCreate()
)
corpus = spark.read.parquet(source).repartition(5)
before = corpus.schema.json()
schema = spark_schema(corpus.schema)
assert corpus.schema.json() == before
try:
    spark_schema(schema)
except ValueError as error:
    assert "there is a column 'ai_n_tokens' already" in str(error), error
else:
    raise AssertionError("a name that is taken was not refused")
corpus.mapInArrow(told, schema.add("threads", "long")).write.parquet(target)
spark.stop()
"""


@pytest.mark.parametrize("task_cpus", [1, 2])
def test_spark(
    engines: str, java: None, few: Path, table: pa.Table, expected: pa.Table, tmp_path: Path,
    task_cpus: int,
) -> None:  # fmt: skip
    run_engine(engines, "-c", SPARK, few, tmp_path / "out", task_cpus, folder=tmp_path)
    assert_scored(tmp_path / "out", table[:FEW], expected[:FEW])
    threads = pc.unique(pq.read_table(tmp_path / "out")["threads"]).to_pylist()
    assert threads == [min(task_cpus, os.cpu_count() or 1)]


def test_example_of_spark(
    engines: str, java: None, corpus: Path, table: pa.Table, expected: pa.Table, tmp_path: Path
) -> None:
    script = ROOT / "examples" / "spark_map_in_arrow.py"
    printed = run_engine(
        engines, script, corpus, tmp_path / "out", folder=tmp_path, SPARK_LOCAL_IP="127.0.0.1"
    )
    assert_scored(tmp_path / "out", table, expected)
    assert "1,965 rows: ok" in printed and "11 rows: bad_type" in printed


# ---- Daft ----

# Bytes for text, since Daft has no strings that are not valid UTF-8.
DAFT = """
import sys
import daft
import pyarrow as pa
import pyarrow.parquet as pq
from attninfluence.integrations.arrow import score_fields, score_record_batches

@daft.cls
class Score:
    def __init__(self):
        self.fields = score_fields()

    @daft.method.batch(
        return_dtype=daft.DataType.struct(
            {field.name: daft.DataType.from_arrow_type(field.type) for field in score_fields()}
        ),
        unnest=True,
    )
    def __call__(self, text):
        batch = pa.record_batch({"text": text.to_arrow()})
        (scored,) = score_record_batches([batch], threads=1)
        columns = [scored[field.name] for field in self.fields]
        return pa.StructArray.from_arrays(columns, fields=self.fields)

source, streamed, mapped = sys.argv[1:4]
table = pq.read_table(source)
frame = daft.from_arrow(table.set_column(3, "text", table["text"].cast(pa.binary())))

scored = score_record_batches(frame.to_arrow_iter())
pq.write_table(pa.Table.from_batches(scored), streamed)

score = Score()
few = frame.where(frame["row"] < int(sys.argv[4]))
pq.write_table(few.select("*", score(few["text"])).to_arrow(), mapped)
"""


def test_daft(
    engines: str, corpus: Path, table: pa.Table, expected: pa.Table, tmp_path: Path
) -> None:
    """Its stream of batches through the generator, and the generator in a function of its own."""
    streamed, mapped = tmp_path / "streamed.parquet", tmp_path / "mapped.parquet"
    arguments = [corpus, streamed, mapped, FEW]
    run_engine(engines, "-c", DAFT, *arguments, folder=tmp_path, DO_NOT_TRACK="true")
    raw = table.set_column(3, "text", table["text"].cast(pa.binary()))
    assert_scored(streamed, raw, expected)
    assert_scored(mapped, raw[:FEW], expected[:FEW])
