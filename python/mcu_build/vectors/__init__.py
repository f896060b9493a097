"""Inputs and outputs of firmware as arrays: archives, their packing, their comparison."""
