"""Decides what runs where, and why.

Pure functions from a snapshot of manifests to a plan; an independent checker beside them. It may import `sites`; it
never touches the world.
"""
