"""Spark: the schema that `DataFrame.mapInArrow` has to be told::

    from functools import partial

    score = partial(score_record_batches, text_column="text", threads=1)
    scored = frame.mapInArrow(score, spark_schema(frame.schema))

Threads: Spark says `spark.task.cpus` (1 unless set) in OMP_NUM_THREADS, and that is what a task
uses; a task that is given more CPUs needs less memory than as many tasks. Importing this module
does not need PySpark.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attninfluence.integrations.arrow import score_fields

if TYPE_CHECKING:
    from pyspark.sql.types import StructType

# What StructType.add calls the types that scores have.
SPARK_TYPES = {"int64": "long", "double": "double", "string": "string", "bool": "boolean"}


def spark_schema(schema: StructType, *, control: bool = False, prefix: str = "ai_") -> StructType:
    """`schema` with the columns that `score_record_batches` appends, as Spark writes them.

    The arguments are those of `scored_schema`; `schema` is left as it is.

    Raises:
        ValueError: it has a column of one of their names.
    """
    from pyspark.sql.types import StructType

    extended = StructType(list(schema.fields))
    for field in score_fields(schema.names, control=control, prefix=prefix):
        extended.add(field.name, SPARK_TYPES[str(field.type)])
    return extended
