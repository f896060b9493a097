"""From a request to a build folder: each stage behind the cache.

Nothing here imports torch unless a stage has to run.
"""
