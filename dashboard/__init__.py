"""What people see of the outbox: read-only pages that touch no sealed column."""
