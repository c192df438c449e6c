"""The suffixes of video files, without NumPy: a command needs them before its first line."""

VIDEO_SUFFIXES = frozenset([
    ".mp4", ".m4v", ".mov", ".qt", ".mj2", ".3gp", ".3g2", ".f4v", ".mkv", ".mk3d", ".webm", ".avi", ".divx", ".flv",
    ".wmv", ".asf", ".wm", ".wtv", ".rm", ".rmvb", ".ogv", ".ogm", ".ogg", ".amv", ".nsv", ".nut", ".gif",
    ".mpg", ".mpeg", ".mpe", ".m1v", ".m2v", ".mp2v", ".mp4v", ".vob", ".vro", ".mod", ".tod",
    ".ts", ".mts", ".m2ts", ".m2t", ".trp", ".mxf", ".gxf", ".dv", ".dif", ".mjpeg", ".mjpg", ".y4m", ".ivf", ".obu",
    ".h261", ".h263", ".h264", ".264", ".avc", ".h265", ".265", ".hevc", ".h266", ".266", ".vvc",
])  # fmt: skip
"""The suffixes of files that FFmpeg reads as videos, in lower case."""
