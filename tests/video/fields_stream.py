"""An H.264 stream of pictures coded as two fields each, which no encoder at hand writes: flat, of uncompressed blocks."""

WIDTH, HEIGHT = 2, 4  # macroblocks of a frame
I_PCM = 25


class Bits:
    """Writes the syntax elements of H.264 (7.2)."""

    def __init__(self) -> None:
        self.text = ""

    def fixed(self, count: int, value: int) -> "Bits":
        self.text += f"{value:0{count}b}"
        return self

    def golomb(self, *values: int) -> "Bits":
        for value in values:
            code = f"{value + 1:b}"
            self.text += "0" * (len(code) - 1) + code
        return self

    def aligned(self) -> "Bits":
        self.text += "0" * (-len(self.text) % 8)
        return self

    def unit(self, header: int) -> bytes:
        """A NAL unit with its start code, stop bit and emulation prevention."""
        self.text += "1"
        raw = int(self.aligned().text, 2).to_bytes(len(self.text) // 8, "big")
        out, zeros = bytearray(), 0
        for byte in raw:
            if zeros >= 2 and byte <= 3:
                out.append(3)
                zeros = 0
            out.append(byte)
            zeros = zeros + 1 if byte == 0 else 0
        return b"\0\0\0\1" + bytes([header]) + bytes(out)


def field_pictures(count: int, *, gop: int) -> list[tuple[bytes, bytes, bool]]:
    """(first field, second field, key) of each picture; all fields but the first of a group are P-slices."""
    # Main profile; picture order count type 2; pictures may be fields (frame_mbs_only_flag 0).
    sequence = Bits().fixed(8, 77).fixed(8, 0).fixed(8, 30).golomb(0, 4, 2, 1).fixed(1, 0)
    sequence.golomb(WIDTH - 1, HEIGHT // 2 - 1).fixed(5, 0b00100)
    picture = Bits().golomb(0, 0).fixed(2, 0).golomb(0, 0, 0).fixed(3, 0).golomb(0, 0, 0).fixed(3, 0b100)
    headers = sequence.unit(0x67) + picture.unit(0x68)
    pictures = []
    for number in range(count):
        key = number % gop == 0
        first, second = (_field(number, bottom=bottom, gop=gop) for bottom in (False, True))
        pictures.append((headers * key + first, second, key))
    return pictures


def _field(number: int, *, bottom: bool, gop: int) -> bytes:
    intra = number % gop == 0 and not bottom
    bits = Bits().golomb(0, 7 if intra else 5, 0).fixed(8, number % gop).fixed(1, 1).fixed(1, bottom)
    if intra:
        bits.golomb(number // gop % 2).fixed(2, 0)  # idr_pic_id; no marking of references
    else:
        bits.fixed(3, 0)
    bits.golomb(0, 1)  # no change of the quantiser; no loop filter
    grey = 16 + (7 * number + 20 * bottom) % 200
    for _ in range(WIDTH * HEIGHT // 2):
        if not intra:
            bits.golomb(0)  # no macroblock skipped
        bits.golomb(I_PCM if intra else I_PCM + 5).aligned()
        bits.text += f"{grey:08b}" * 256 + f"{128:08b}" * 128
    return bits.unit(0x65 if intra else 0x61)
