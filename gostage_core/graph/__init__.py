"""Workflows and runs as drawings: a neutral tree of nodes, how it is thinned out, and its forms."""
