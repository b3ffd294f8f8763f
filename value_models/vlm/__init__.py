"""A vision-language model as encoder: images and words attend to each other."""
