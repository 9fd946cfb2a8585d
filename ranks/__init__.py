"""The processes that train one model together: which there are, and what they tell each other."""
