"""Objectives, data sets and networks to train on."""
