"""Tokens that say something of a whole text begin with `MARK`: they have no letters and no neighbours."""

MARK = "\x02"
