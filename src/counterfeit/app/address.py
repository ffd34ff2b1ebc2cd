"""Where this machine is reached: by itself only, or by others."""

from __future__ import annotations

import ipaddress
import socket


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def own_address() -> str:
    """The IPv4 address of this machine in its network; 127.0.0.1 without one. Nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # set aside for documentation (RFC 5737)
            return str(probe.getsockname()[0])
        except OSError:
            return "127.0.0.1"


def address(listening: socket.socket, host: str) -> str:
    """http://HOST:PORT; where it listens on all addresses, this machine's own: in numbers, or of IPv6 by name."""
    if host in ("0.0.0.0", "::", ""):
        host = own_address() if listening.family == socket.AF_INET else socket.gethostname()
    return f"http://{f'[{host}]' if ':' in host else host}:{listening.getsockname()[1]}"
