"""Test stands: real servers and stations that tests start, look at and end. Nothing in here stands in for our code."""
