"""How often one address may do something."""

from __future__ import annotations

import ipaddress
import threading
import time
from dataclasses import dataclass

from starlette.requests import Request

MOST_ADDRESSES = 4096  # remembered
PREFIX = 64  # bits of an IPv6 address that are the network's: a machine in it may take any of the others


@dataclass
class _Bucket:
    """What an address may still do, as of a time."""

    left: float
    at: float


class Rate:
    """For every address `burst` at once, and `per_second` in the long run. For any thread."""

    def __init__(self, per_second: float, burst: float) -> None:
        self.per_second, self.burst = per_second, burst
        self._buckets: dict[str, _Bucket] = {}
        self._lock = threading.Lock()

    def take(self, address: str) -> bool:
        """Do it once more; False if it is too often."""
        with self._lock:
            bucket = self._filled(address)
            if bucket.left < 1:
                return False
            bucket.left -= 1
            return True

    def is_empty(self, address: str) -> bool:
        """Whether `take` would say no."""
        with self._lock:
            return self._filled(address).left < 1

    def _filled(self, address: str) -> _Bucket:
        now, key = time.monotonic(), network(address)
        if key not in self._buckets and len(self._buckets) >= MOST_ADDRESSES:
            self._buckets.clear()
        bucket = self._buckets.setdefault(key, _Bucket(self.burst, now))
        bucket.left = min(self.burst, bucket.left + (now - bucket.at) * self.per_second)
        bucket.at = now
        return bucket


def network(address: str) -> str:
    """The address; of IPv6 the network that it is in, so that nobody has many."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped:
            return str(found.ipv4_mapped)
        return str(ipaddress.IPv6Network((found, PREFIX), strict=False))
    return str(found)


def asker(request: Request) -> str:
    """The address that a request comes from."""
    return request.client.host if request.client else ""
