"""A policy on another machine: who serves it, and who asks it."""
