"""Training: one loop with four sockets, a window of wall-clock time, checkpoints, profiles, the tiny base."""
