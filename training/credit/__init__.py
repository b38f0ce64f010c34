"""Credit for outcomes: from what an episode came to, to a reward for each of its steps."""
