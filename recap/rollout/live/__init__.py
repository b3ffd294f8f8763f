"""A session with a robot, in real time: who is in control, what keeps it safe, what is recorded."""
