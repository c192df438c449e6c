"""State that a container hands to the decoder beside one packet, for all packets after it: palettes, new parameter sets."""

from __future__ import annotations

from av.packet import Packet, PacketSideData
from av.video.stream import VideoStream

_KINDS = frozenset({"palette", "new_extradata"})

CarriedState = dict[str, PacketSideData]
"""By its kind, the state that holds at a packet."""


def carry(state: CarriedState, packet: Packet[VideoStream]) -> CarriedState:
    """The state that holds after a packet, given that before it.

    A keyframe gets what it lacks of it: decoding may start there, while demuxers hand it over with the first packet alone.
    """
    changed = {data.data_type: data for data in packet.iter_sidedata() if data.data_type in _KINDS}
    if packet.is_keyframe:
        for data in (data for kind, data in state.items() if kind not in changed):
            packet.set_sidedata(data)
    return {**state, **changed} if changed else state
