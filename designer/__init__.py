"""Who decides what to try next: agents, workflow, search, run store, commands."""
