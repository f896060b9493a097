"""Families for Cortex-M cores with Helium."""
