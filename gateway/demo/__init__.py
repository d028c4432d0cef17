"""The demonstration: the whole product on this machine, and one day in its life."""
