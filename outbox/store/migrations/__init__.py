"""Migrations, in order; run by `outbox.store.migrate`."""
