"""What stages hand to one another: programs, their weights, plans. Imports nothing above it."""
