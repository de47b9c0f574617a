"""Nodes in, nodes out: the MRML side. No Qt, no torch."""
