"""`python -m trials.hosts.delay PORT OTHER SECONDS`: pass frames between two interfaces, each so much later.

Where a kernel has netem, `tc` would do the same; many have not, and this works on all: two packet sockets and a queue.
The ends of the cable must do their checksums and segments themselves (see `plain`), or frames would come unfinished.
"""

import array
import fcntl
import heapq
import itertools
import select
import signal
import socket
import struct
import sys
import time

from devtools.parent_death import send_us_at_parents_death

ALL_FRAMES = 0x0003
LONGEST = 65_536
SIOCETHTOOL = 0x8946
SWITCHED_OFF = (0x00000017, 0x00000019, 0x0000001F, 0x00000024)  # ETHTOOL_STXCSUM, _SSG, _STSO, _SGSO
SOL_PACKET, PACKET_ADD_MEMBERSHIP, PACKET_MR_PROMISC = 263, 1, 1


def plain(interface: str) -> None:
    """Switch off offloads, so that frames leave as on a wire."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        for setting in SWITCHED_OFF:
            value = array.array("B", struct.pack("II", setting, 0))
            request = struct.pack("16sP", interface.encode(), value.buffer_info()[0])
            fcntl.ioctl(asked, SIOCETHTOOL, request)


def relay(left: str, right: str, seconds: float) -> None:
    ends = [_opened(left), _opened(right)]
    other = {ends[0]: ends[1], ends[1]: ends[0]}
    queue: list[tuple[float, int, socket.socket, bytes]] = []
    number = itertools.count()
    while True:
        timeout = max(0.0, queue[0][0] - time.monotonic()) if queue else None
        for end in select.select(ends, [], [], timeout)[0]:
            frame, (_, _, kind, _, _) = end.recvfrom(LONGEST)
            if kind != socket.PACKET_OUTGOING:
                heapq.heappush(queue, (time.monotonic() + seconds, next(number), other[end], frame))
        while queue and queue[0][0] <= time.monotonic():
            _, _, end, frame = heapq.heappop(queue)
            end.send(frame)


def _opened(interface: str) -> socket.socket:
    end = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ALL_FRAMES))
    end.bind((interface, 0))
    index = socket.if_nametoindex(interface)
    end.setsockopt(SOL_PACKET, PACKET_ADD_MEMBERSHIP, struct.pack("IHH8s", index, PACKET_MR_PROMISC, 0, b""))
    return end


if __name__ == "__main__":
    send_us_at_parents_death(signal.SIGKILL)
    relay(sys.argv[1], sys.argv[2], float(sys.argv[3]))
