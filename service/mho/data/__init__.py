"""Files -> arrays that fit a model. The only room that reads images."""
