"""A loop nest as Triton source."""
