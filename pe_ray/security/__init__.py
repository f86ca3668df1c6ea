"""Keys, sealing, roles, the audit chain, and answers that never repeat what they were given."""
