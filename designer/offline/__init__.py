"""The designer, critic and analyzer that need no language model."""
