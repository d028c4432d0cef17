"""The HTTP edge and the command line: what comes in, and what people type."""
