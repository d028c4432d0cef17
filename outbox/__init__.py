"""What must happen: accepted events are kept until each of their notifications is final."""
