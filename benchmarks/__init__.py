"""One module per claim in docs/performance.md; `scripts/bench NAME` runs benchmarks/NAME.py."""
