"""A stateful Stripe: what the product uses of it, with a clock that can be moved by months."""
