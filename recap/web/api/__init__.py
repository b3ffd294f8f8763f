"""What the form and its server say to each other, over HTTP as JSON."""
