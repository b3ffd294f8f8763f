"""RECAP: fine-tune a robot policy on its own attempts, and the faces of that method."""
