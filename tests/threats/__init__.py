"""Everything that somebody may try against a server; `test_model.py` is the threat model."""
