"""Batch size: how many steps and samples a target takes."""
