"""What the benchmarks of the station system are made of; `benchmarks/catch_up.py` runs them."""
