"""Replies over HTTP: the gateway that judges them, the engine that writes them, and what keeps both running."""
