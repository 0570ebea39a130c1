"""samesky keeps the same observations on every machine that needs them, and proves that they are the same."""

__version__ = "0.1.0"
