"""Postgres: every statement of the project, and the embedded server."""
