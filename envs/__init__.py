"""The worlds a policy acts in, and who demonstrates in them. Nothing here learns."""
