"""From a configuration and folders of images to a bundle."""
