"""Edge cases and persona dialogues that a language model writes: resumable, rate-limited, cost-capped, screened.

result = run("edge-cases", config.generate, Home.find(), say)
result.path / "edge_cases.jsonl"        # what the source `edge_case` reads
"""

from pe_ray.corpus.generate.sets import Result, plan, run

__all__ = ["Result", "plan", "run"]
