"""A model as a folder that stands alone: sources or a library, header, test vectors, a self-test, a README.

contents.py collects one list of files, flags and folders; a file for each format lays it out.
"""
