"""The Fanion family: its norms, its blends, what they buy."""
