"""Crisis triage, bias, the output filter, resources and safe replies: used by the corpus and by serving alike."""
