"""Where this machine is reached: by itself only, or by others."""

from __future__ import annotations

import ipaddress
import socket

ALL = ("0.0.0.0", "::", "")  # hosts that mean all addresses
# Set aside for documentation: RFC 5737 and RFC 3849.
ELSEWHERE = {socket.AF_INET: "192.0.2.1", socket.AF_INET6: "2001:db8::1"}


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def is_name(host: str) -> bool:
    """Whether a host is a name, and not an address in numbers."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return host not in ALL
    return False


def own_address(families: tuple[int, ...] = (socket.AF_INET, socket.AF_INET6)) -> str:
    """The address of this machine in its network, of the first family that it has one of. Nothing is sent.

    127.0.0.1, or ::1, without one.
    """
    for family in families:
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                probe.connect((ELSEWHERE[socket.AddressFamily(family)], 9))
                return str(probe.getsockname()[0])
        except OSError:
            continue
    return "127.0.0.1" if socket.AF_INET in families else "::1"


def in_link(host: str, port: int | None) -> str:
    """HOST:PORT as it stands in a link, where an address of IPv6 has brackets."""
    return (f"[{host}]" if ":" in host else host) + ("" if port is None else f":{port}")


def listens(host: str, port: int) -> socket.socket:
    """A socket that listens, at `::` for IPv4 as well where it can. Raises OSError; UnicodeError for some names."""
    family, _, _, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    both = family == socket.AF_INET6 and host in ALL and socket.has_dualstack_ipv6()
    return socket.create_server(place[:2], family=family, dualstack_ipv6=both)


def address(listening: socket.socket, host: str) -> str:
    """http://HOST:PORT by the host that was given; where it listens on all addresses, by this machine's own in numbers.

    A phone knows these, and hardly ever the machine's name.
    """
    if host in ALL:
        host = own_address(_families(listening))
    return f"http://{in_link(host, listening.getsockname()[1])}"


def _families(listening: socket.socket) -> tuple[int, ...]:
    """Of which addresses it takes connections, IPv4 first."""
    if listening.family == socket.AF_INET:
        return (socket.AF_INET,)
    only = listening.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
    return (socket.AF_INET6,) if only else (socket.AF_INET, socket.AF_INET6)
