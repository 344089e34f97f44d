"""Speed comparisons, one file a claim; `make bench` runs them."""
