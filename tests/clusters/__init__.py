"""Clusters: run by `make clusters`, in an environment that has their engines."""
