"""The vocabulary: what CivitAI's things are called here, and the shapes of our answers."""
