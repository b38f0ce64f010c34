"""The one error that the lower layers raise for something the user must change."""


class UserError(Exception):
    """The user must change something; the message says what. Commands end with exit code 2."""
