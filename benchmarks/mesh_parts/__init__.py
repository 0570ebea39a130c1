"""What the benchmarks of the mesh are made of; `benchmarks/mesh.py` runs them."""
