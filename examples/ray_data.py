"""Score a corpus with Ray Data: a folder of Parquet files in, one with the scores beside them out.

python examples/ray_data.py INPUT OUTPUT [ACTORS] [CPUS_PER_ACTOR]

ACTORS of as many CPUs each have to leave Ray one for the tasks that read and write: with none left,
a job waits for ever. Runs on this machine, or on the cluster that RAY_ADDRESS names; all of its
machines must then reach INPUT and OUTPUT. Machines of different CPUs give the same bits only when
fn_constructor_kwargs names a precision and a kernel that all of them have.
"""

from __future__ import annotations

import sys

import ray

from attninfluence.integrations.ray import ScoreActor


def main(source: str, target: str, actors: str = "1", cpus: str = "1") -> None:
    ray.init()
    if int(actors) * int(cpus) + 1 > ray.cluster_resources()["CPU"]:
        sys.exit(f"{actors} actors of {cpus} CPUs leave Ray none to read and write with")
    scored = ray.data.read_parquet(source).map_batches(
        ScoreActor,
        fn_constructor_kwargs={"text_column": "text"},
        batch_format="pyarrow",
        batch_size=512,
        num_cpus=int(cpus),
        compute=ray.data.ActorPoolStrategy(size=int(actors)),
    )
    scored.write_parquet(target)

    # What was written, since `scored` would be computed again.
    written = ray.data.read_parquet(target, columns=["ai_status"])
    for row in written.groupby("ai_status").count().take_all():
        print(f"{row['count()']:,} rows: {row['ai_status']}")


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    finally:
        ray.shutdown()
