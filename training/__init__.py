"""What a reward teaches: PPO over a population of learners, evaluation, statistics, the audit."""
