"""Scripted agents: solutions of a task, and agents that collect rewards without solving it."""
