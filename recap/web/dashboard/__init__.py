"""The page for the people around the robot: numbers of a project, and what comes next."""
