"""`python -m pe_ray.cli` is `pe-ray`."""

from pe_ray.cli import main

main()
