"""The two kinds of error: the user's to mend, and ours."""


class MutatennError(Exception):
    """Something the user can mend; the message says what, why and the way out.

    The plugin shows the message alone, without a traceback of ours.
    """


class InternalError(Exception):
    """A fault of pytest-mutatenn itself. Deliberately no :class:`MutatennError`.

    It is never turned into a verdict: a row that meets one is a pytest error.
    """
