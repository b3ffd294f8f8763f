"""What is written down and how it is read back: episodes, outcomes, training sets."""
