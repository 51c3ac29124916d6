"""The names of the pretended internet and what they resolve to."""

import ipaddress

# NAME ADDRESS... or NAME SPECIAL; `*` as first label stands for any one or more labels.
ZONE = """
example.com            93.184.216.34 2606:2800:220:1:248:1893:25c8:1946
*.example.com          93.184.216.35
h2.example.com         93.184.216.39
four.example.com       93.184.216.40
six.example.com        2606:2800:220:1::6
index.example.org      93.184.216.41
git.example.org        93.184.216.42
github.com             140.82.112.3
*.github.com           140.82.112.4
evil.net               185.199.108.1
*.evil.net             185.199.108.1
evilgithub.com         185.199.108.2
xn--bcher-kva.example  93.184.216.43
api.anthropic.com      160.79.104.10
api.openai.com         162.159.140.245
# What a proxy has to see through.
loop.example.org       127.0.0.1
private.example.org    10.0.0.5
linklocal.example.org  169.254.169.254
cgnat.example.org      100.64.0.1
mapped.example.org     ::ffff:127.0.0.1
nat64.example.org      64:ff9b::7f00:1
sixtofour.example.org  2002:7f00:1::1
mixed.example.org      93.184.216.36 127.0.0.1
alias.example.org      cname private.example.org
own.example.org        45.33.32.156
own6.example.org       2600:3c01::f03c:91ff:fe18:bb2f
rebind.example.org     rebind
many.example.org       many
timeout.example.org    timeout
servfail.example.org   servfail
garbage.example.org    garbage
truncated.example.org  truncated
nowhere.example.org    nxdomain
# One address that answers and one that never does, in both orders.
half.example.org       151.101.255.99 93.184.216.36
dead.example.org       151.101.255.99
# The host's hosts file says something else of this one, and its search domain would complete this other one.
hosts.example.org      93.184.216.44
search.example.org     nxdomain
search.example.org.corp.example  93.184.216.45
# The company's network.
proxy.corp.example     10.20.0.1
wiki.corp.example      10.20.0.2
"""

# An address of this network is in nobody's routing table here: packets to it vanish.
UNANSWERED = ipaddress.ip_network("151.101.255.0/24")
# The pretended host's own global addresses.
OWN = ("45.33.32.156", "2600:3c01::f03c:91ff:fe18:bb2f")
# Below this name each label of 8 or 32 hexadecimal digits is an address of the answer, in this order.
SPELLED = ".addr.example.org"
SPECIAL = {"rebind", "nxdomain", "timeout", "many", "servfail", "garbage", "truncated", "cname"}
REBIND = ("93.184.216.37", "127.0.0.1")
MANY = [f"93.184.217.{i}" for i in range(1, 65)]


def read(text):
    """The zone as a dictionary from name to words."""
    zone = {}
    for line in text.splitlines():
        words = line.split("#")[0].split()
        if words:
            zone[words[0].lower()] = words[1:]
    return zone


def spelled(name):
    """The addresses that a name below SPELLED is made of."""
    addresses = []
    for label in name.removesuffix(SPELLED).split("."):
        if len(label) in (8, 32) and all(c in "0123456789abcdef" for c in label):
            addresses.append(str(ipaddress.ip_address(bytes.fromhex(label))))
    return addresses or None


def look_up(zone, name):
    """The words of a name, of the nearest wildcard above it, or None."""
    name = name.lower().rstrip(".")
    if name.endswith(SPELLED):
        return spelled(name)
    if name in zone:
        return zone[name]
    labels = name.split(".")
    for i in range(1, len(labels)):
        wild = "*." + ".".join(labels[i:])
        if wild in zone:
            return zone[wild]
    return None


def addresses(zone):
    """Every address that the pretended internet itself answers for."""
    found = {*MANY, REBIND[0]}
    for words in zone.values():
        if words and words[0] not in SPECIAL:
            found.update(words)
    return sorted(a for a in found if answers_for(a))


def answers_for(text):
    """Whether this address is one of the internet's: none of the host's own, none that has to stay silent."""
    address = ipaddress.ip_address(text)
    if text in OWN or address.is_loopback or (address.version == 4 and address in UNANSWERED):
        return False
    return address.version == 4 or address.ipv4_mapped is None
