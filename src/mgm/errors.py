"""The errors that `mgm` raises on purpose: each names what it is about, what was found, what was expected and what to do."""


class MgmError(Exception):
    """Base of all errors that a user can act on. The command line prints its one line instead of a traceback."""


class VideoError(MgmError, ValueError):
    """A video cannot be read as asked. The message starts with the file's name."""


class MaskError(MgmError, ValueError):
    """A mask cannot be drawn as asked. The message starts with the mask's name."""


class ConfigError(MgmError, ValueError):
    """A recipe or an override is wrong. The message lists every wrong key at once."""


class DataError(MgmError, ValueError):
    """A set of videos or its annotations cannot be used as asked. The message starts with its path."""


class ModelError(MgmError, ValueError):
    """A model received what it cannot use, or a checkpoint does not fit. The message gives what was found and expected."""
