"""Scripted agents: solutions of a task, and agents that collect rewards without solving it."""

from envs.scripted.catalogue import ScriptedEpisodes, episodes, supports

__all__ = ["ScriptedEpisodes", "episodes", "supports"]
