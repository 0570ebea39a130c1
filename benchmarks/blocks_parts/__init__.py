"""The parts of `benchmarks.blocks`."""
