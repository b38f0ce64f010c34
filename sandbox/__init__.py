"""May this program run, and what does it answer: gate, jails, the worker, probes."""
