"""Scoring inside other engines: `arrow` for streams of record batches (Spark, Daft), `spark`, `ray`
and `datatrove`. Importing this package loads none of them."""
