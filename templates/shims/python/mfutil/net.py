"""Names and ports of the network."""

import ipaddress
import os
import socket


def ping_tcp_port(ip, port, timeout=5):
    """Whether something listens there."""
    try:
        socket.create_connection((ip, int(port)), timeout).close()
        return True
    except OSError:
        return False


def get_ip_for_hostname(hostname, ignore_hosts_file=False):
    """An address of version 4 where there is one; `None` where there is none at all."""
    try:
        found = socket.getaddrinfo(hostname, None, type=socket.SOCK_STREAM)
    except OSError:
        return None
    found.sort(key=lambda entry: entry[0] != socket.AF_INET)
    return found[0][4][0] if found else None


def get_ipv4_for_hostname(hostname, static_mappings={}):
    if hostname in static_mappings:
        return static_mappings[hostname]
    try:
        return socket.gethostbyname(hostname)
    except OSError:
        return None


def get_full_hostname():
    return os.environ.get("MFHOSTNAME_FULL") or socket.getfqdn()


def get_simple_hostname():
    return os.environ.get("MFHOSTNAME") or socket.gethostname().split(".")[0]


def get_domainname():
    _, _, domain = get_full_hostname().partition(".")
    return domain or None


def get_real_ip():
    """The address that others see: no loopback one where there is another."""
    found = get_ipv4_for_hostname(socket.gethostname())
    if found and not ipaddress.ip_address(found).is_loopback:
        return found
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            # Nothing is sent: the kernel tells the address that it would send from. The target is one for documentation.
            probe.connect(("192.0.2.1", 9))
            return probe.getsockname()[0]
        except OSError:
            return found or "127.0.0.1"
