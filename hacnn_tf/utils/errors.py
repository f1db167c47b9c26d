"""The error that commands turn into a sentence."""


class InputError(Exception):
    """Something the user gave is wrong; the message says what, where and what to do. Commands print it and exit 1."""


class FormatError(InputError):
    """A file was written by a newer version of hacnn_tf, in a format that this one cannot read."""
