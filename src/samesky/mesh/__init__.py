"""Mesh: a tree of files, the same on every peer, by MQTT announcements and HTTP downloads."""
