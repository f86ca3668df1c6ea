"""Measurements: an area to a file, us and the peer in one run. `python -m pe_ray.bench <area> --json`."""
