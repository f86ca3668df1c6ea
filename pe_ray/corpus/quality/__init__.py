"""Row checks, a file each: `check(record) -> Verdict`, score in 0..1 (1 is good), a reason that quotes nothing."""
