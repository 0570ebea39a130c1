"""Push: relational databases of field sites, gathered at a central server through REST."""
