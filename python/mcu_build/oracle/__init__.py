"""What firmware has to answer: a program run with the definitions of its operators."""
