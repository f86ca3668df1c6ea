"""Near-duplicate removal: MinHash LSH whose every edge, and every removal, is verified."""

from pe_ray.corpus.neardup.clusters import Clusters, near_duplicates, near_duplicates_of
from pe_ray.corpus.neardup.index import Index
from pe_ray.corpus.neardup.matching import Matches, matches, matches_of
from pe_ray.corpus.neardup.settings import Settings
from pe_ray.corpus.neardup.survivors import CLUSTER_SCHEMA, Survivors, survivors

__all__ = [
    "CLUSTER_SCHEMA",
    "Clusters",
    "Index",
    "Matches",
    "Settings",
    "Survivors",
    "matches",
    "matches_of",
    "near_duplicates",
    "near_duplicates_of",
    "survivors",
]
