"""What writes a reply: one protocol, one file for each kind of engine."""
