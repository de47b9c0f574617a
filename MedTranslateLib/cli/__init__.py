"""One file a subcommand of `medtranslate`."""
