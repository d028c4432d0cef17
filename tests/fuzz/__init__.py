"""Bytes from outside, bent in all ways, against each parser that takes them."""
