"""The delivery engine: claim, call, settle, and apply what providers say later."""
