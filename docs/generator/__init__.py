"""Makes docs/reference.md of the code: `scripts/reference`."""
