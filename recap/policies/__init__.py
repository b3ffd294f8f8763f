"""What makes a LeRobot policy a RECAP policy: the indicator, guidance, training, checkpoints."""
