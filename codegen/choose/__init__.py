"""Which schedule a kernel gets: the default of each target, and all else its recipes can do."""
