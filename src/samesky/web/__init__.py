"""The page that shows at a glance whether the copies are right, and the same for programs."""
