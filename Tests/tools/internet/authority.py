"""A certificate authority that lives as long as the pretended internet."""

import os
import ssl
import subprocess

from . import zone as names

CURVE = ["ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]


def openssl(*words):
    """Runs openssl; its complaint is raised."""
    done = subprocess.run(["openssl", *words], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"openssl {words[0]}: {done.stderr}")


def make(folder, zone):
    """ca.pem for clients; srv.pem and srv.key for the servers of every name and address of the zone."""
    alternatives = [f"DNS:{name}" for name in sorted({*zone, "localhost"})]
    alternatives += [f"IP:{address}" for address in [*names.addresses(zone), *names.OWN, "127.0.0.1", "::1"]]
    openssl(
        "req", "-x509", "-newkey", *CURVE, "-days", "30", "-subj", "/CN=fake internet CA",
        "-addext", "keyUsage=critical,keyCertSign,cRLSign",
        "-keyout", f"{folder}/ca.key", "-out", f"{folder}/ca.pem",
    )
    openssl(
        "req", "-newkey", *CURVE, "-subj", "/CN=fake internet",
        "-keyout", f"{folder}/srv.key", "-out", f"{folder}/srv.csr",
    )
    with open(f"{folder}/ext", "w") as file:
        file.write("subjectAltName=" + ",".join(alternatives))
    openssl(
        "x509", "-req", "-in", f"{folder}/srv.csr", "-CA", f"{folder}/ca.pem", "-CAkey", f"{folder}/ca.key",
        "-CAcreateserial", "-days", "30", "-extfile", f"{folder}/ext", "-out", f"{folder}/srv.pem",
    )
    os.chmod(f"{folder}/ca.pem", 0o644)


def contexts(folder):
    """The servers' TLS context. It notes the name that was asked for, and speaks HTTP/2 where the name begins so."""

    def context(*protocols):
        made = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        made.load_cert_chain(f"{folder}/srv.pem", f"{folder}/srv.key")
        made.set_alpn_protocols(list(protocols))
        return made

    first, second = context("http/1.1"), context("h2", "http/1.1")

    def asked(connection, name, _):
        connection.asked_name = name
        if name and name.startswith("h2."):
            connection.context = second

    first.sni_callback = asked
    return first
