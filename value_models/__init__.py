"""What a moment is worth: a distribution over returns, from images, language and joints."""
