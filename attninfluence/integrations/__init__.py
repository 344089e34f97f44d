"""Scoring inside other engines, one module each: `arrow` for streams of record batches (Spark, Daft),
`ray` for Ray Data, `datatrove` for its pipelines. Importing this package loads none of them."""
