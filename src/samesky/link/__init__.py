"""How bytes travel. A link knows brokers, windows and acknowledgements, and nothing of observations."""
