"""The rules that hold in every history of a push, by what breaks them."""


class NotEqual(AssertionError):
    """At the end the centre hasn't what the site has."""


class FalseProof(AssertionError):
    """A table was said to be the same, and wasn't."""


class Invented(AssertionError):
    """The centre has a row of a site that the site never had."""


class Merged(AssertionError):
    """Two rows of one site have become one, or two equal rows are at the centre."""


class NotQuiet(AssertionError):
    """There is always something to do, though nothing changes."""


class PassedOver(AssertionError):
    """A run ended well, and hasn't sent a row that there was when it began."""


class Meddled(AssertionError):
    """A row that two sites use was changed by one of them."""
