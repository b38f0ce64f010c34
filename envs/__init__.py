"""What the agent is asked to do: tasks, the state a reward may read, simulators."""
