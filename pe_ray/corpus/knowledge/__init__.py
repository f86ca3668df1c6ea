"""What is known about psychology, from the forms in which it is written down: a file here for each format.

Every format's `read` gives an `Entry` for what can be asked and answered, and a `Problem` for what cannot be read;
`sources/psychology.py` turns these into records and `Unreadable`s. `concepts.py` collects the concepts that the
records carry in their metadata.
"""
