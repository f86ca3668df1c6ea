"""What a client and their care leave behind: sealed entries, sessions, goals, assessments, and their course."""
