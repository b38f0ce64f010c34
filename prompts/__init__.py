"""The words given to models, and the JSON schemas of their replies; text only."""
