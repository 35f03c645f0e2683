"""Preconditioning: steps against condition number, and what the condition-free rate depends on."""
