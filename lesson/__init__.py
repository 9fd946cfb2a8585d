"""Chapter 1 of Paddle's course, alive: a neuron by hand in NumPy, then the same in Paddle."""
