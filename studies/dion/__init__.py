"""Dion: what one power iteration and error feedback do."""
