"""The command line: one thin file per command over a function of the package. Nobody imports it."""
