"""Every number of the design, measured as a ratio in one run, side by side with what a user would pick instead."""
