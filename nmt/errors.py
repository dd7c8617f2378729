"""The one exception that stands for a mistake of the user rather than of the program."""


class UserError(Exception):
    """Bad input or wrong use. The message is one line: what is wrong, where, and what to do.

    The command line prints it without a traceback and exits with status 2.
    """


class TrainingError(Exception):
    """Work that failed or was stopped although the input was right; one line, exit status 1."""
