"""A loop nest as OpenCL source."""
