"""Questions and answers in speech: what is a question, who answers it and how far, and what to ask of the rest.

    interviews, podcasts     who asks and who answers (`interview.py`)
    monologues, speeches     a question that the speaker asks and answers (`transcripts/passages.py`)
    what answers nothing     a question formed from its own words (`contextual.py`)

`asking.py` says what a question is, `spans.py` where it stands.
"""
