"""What holds for every test."""

import os

from hypothesis import HealthCheck, settings

# Two tests run at a time on two cores, beside databases and brokers, so a slow draw says nothing about a strategy.
# CI tries the same inputs every time: what it finds, everybody finds.
settings.register_profile(
    "samesky",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize="CI" in os.environ,
    print_blob=True,
)
settings.load_profile("samesky")
