"""What is measured while pe_ray runs: names once, a meter for a job's cost, health."""
