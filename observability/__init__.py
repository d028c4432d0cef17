"""What can be seen: logs, metrics, and later traces and objectives."""
