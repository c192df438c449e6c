"""The command line: one thin file per command over a function of the package. No other package imports it."""
