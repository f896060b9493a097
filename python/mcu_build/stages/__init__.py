"""The stages that need torch, each behind the cache: a model file in, a program and its vectors out.

Nothing here imports torch unless a stage has to run.
"""
