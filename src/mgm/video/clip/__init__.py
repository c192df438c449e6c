"""Clips: the frames and motion of stretches of a video. The path of a clip:

    read_clip              reader       keyword arguments become `ClipOptions` (options)
      VideoReader.read                  one `Clip` for each region
        _read                           again without each shortcut that fails (container/shortcuts)
          _attempt                      the four stages of a clip:
            plan_clip      plan         numbers of its frames, and the frames that it needs
            demux_window   clip_packets the fewest packets that decode those (in container/)
            decode_clip    decode       one pass of `ClipDecoder`: pixels (rgb) and vectors
            clip_motion    clip_motion  vectors, a sidecar or an estimator's fields -> `MotionField`

`whole_video` reads the motion of a long video in pieces, `export` writes it to a file.
"""
