"""Tasks, one to a file: what can be trained."""
