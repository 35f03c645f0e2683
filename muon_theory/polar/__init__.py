"""The polar factor and the ways to reach it."""
