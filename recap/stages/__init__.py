"""The stages of one lap: one file each, and they meet on disk."""
