"""Near-duplicate removal on one machine: MinHash LSH whose every edge, and every removal, is verified."""

from pe_ray.corpus.neardup.clusters import CLUSTER_SCHEMA, Clusters, Survivors, near_duplicates, survivors

__all__ = ["CLUSTER_SCHEMA", "Clusters", "Survivors", "near_duplicates", "survivors"]
