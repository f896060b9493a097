"""Rules on the float graph: operators as those that have an int8 form, constants computed once."""
