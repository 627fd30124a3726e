"""Where an environment lives, and how it is asked there."""
