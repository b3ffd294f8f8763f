"""The web form in which people judge attempts, and the page for the people around the robot."""
