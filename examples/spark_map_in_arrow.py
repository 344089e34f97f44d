"""Score a corpus with Spark: a folder of Parquet files in, one with the scores beside them out.

python examples/spark_map_in_arrow.py INPUT OUTPUT [TEXT_COLUMN]
spark-submit --conf spark.task.cpus=4 examples/spark_map_in_arrow.py INPUT OUTPUT

A task scores with as many threads as it has CPUs. Without spark-submit all of this machine's are
used, by as many tasks; set PYSPARK_PYTHON to the Python that has attninfluence. Machines of
different CPUs give the same bits only when `partial` names a precision and a kernel that all of
them have.
"""

from __future__ import annotations

import sys
from functools import partial

from pyspark.sql import SparkSession

from attninfluence.integrations.arrow import score_record_batches
from attninfluence.integrations.spark import spark_schema


def main(source: str, target: str, column: str = "text") -> None:
    spark = SparkSession.builder.appName("attninfluence").getOrCreate()
    try:
        corpus = spark.read.parquet(source)
        score = partial(score_record_batches, text_column=column)
        corpus.mapInArrow(score, spark_schema(corpus.schema)).write.parquet(target)

        # What was written, since the scores would be computed again.
        for row in spark.read.parquet(target).groupBy("ai_status").count().collect():
            print(f"{row['count']:,} rows: {row['ai_status']}")
    finally:
        spark.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
