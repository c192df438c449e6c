"""State that a container hands to the decoder beside one packet, for all packets after it: palettes, new parameter sets."""

from __future__ import annotations

from av.packet import Packet, PacketSideData
from av.video.stream import VideoStream

_KINDS = frozenset({"palette", "new_extradata"})

CarriedState = dict[str, PacketSideData]
"""By its kind, the state that holds at a packet."""


def carry(state: CarriedState, keyframe: Packet[VideoStream]) -> CarriedState:
    """The state that holds after a keyframe, given that before it. A new one comes with a keyframe.

    The keyframe gets what it lacks of it: decoding may start there, while demuxers hand the state over once only.
    """
    changed = {data.data_type: data for data in keyframe.iter_sidedata() if data.data_type in _KINDS}
    for data in (data for kind, data in state.items() if kind not in changed):
        keyframe.set_sidedata(data)
    return {**state, **changed} if changed else state
