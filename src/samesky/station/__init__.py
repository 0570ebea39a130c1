"""WeeWX databases, a primary and its copies: seeds 000 and 001, and version 2 of their protocol."""
