"""The parts of the quality suite: streams, contestants, the offline fits that they are compared with, and a plot."""
