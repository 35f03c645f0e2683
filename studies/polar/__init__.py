"""The polar factor: how well and how cheaply it is reached."""
