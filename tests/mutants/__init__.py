"""Deliberate bugs: each is a patch with what it breaks and which tests have to catch it."""
