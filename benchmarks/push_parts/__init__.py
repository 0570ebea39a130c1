"""The parts of `benchmarks.push`."""
