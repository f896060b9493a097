"""How users reach the pipeline: the one list of build options, and what build systems are given of it."""
