"""The rollout manager: attempts with a beginning, an end and an outcome, many at once."""
