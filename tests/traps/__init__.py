"""Every oddity of the real CivitAI that is known, each with the test of what a user gets."""
