"""Random coalitions, and what draws of them say of a mean."""
