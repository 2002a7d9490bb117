"""CivitAI's endpoints by subject. The client is all of them together."""
