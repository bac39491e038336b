"""A certificate authority for tests, made by the openssl program."""

import ssl
import subprocess
from pathlib import Path


def _openssl(*arguments):
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


def _new_key(path):
    _openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", path)


class Certificate:
    def __init__(self, file, key):
        self.file = str(file)
        self.key = str(key)

    def server_context(self, asks_for=None, requires=False):
        """asks_for: an authority whose client certificates are wanted."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.file, self.key)
        if asks_for:
            context.load_verify_locations(asks_for.file)
            context.verify_mode = ssl.CERT_REQUIRED if requires else ssl.CERT_OPTIONAL
        return context

    @property
    def pem(self):
        return Path(self.file).read_text()

    @property
    def der(self):
        return ssl.PEM_cert_to_DER_cert(self.pem)

    def followed_by(self, *authorities):
        """The same with a chain behind it."""
        file = Path(self.file).with_suffix(".chain.pem")
        file.write_text(self.pem + "".join(authority.pem for authority in authorities))
        return Certificate(file, self.key)

    @property
    def serial(self):
        shown = subprocess.run(["openssl", "x509", "-noout", "-serial", "-in", self.file],
                               check=True, capture_output=True, text=True)
        return shown.stdout.strip().split("=")[1]


class Authority(Certificate):
    """Signs itself, or is signed by another."""

    def __init__(self, directory, name="test-ca", issuer=None, days=30):
        super().__init__(directory / f"{name}.pem", directory / f"{name}.key")
        self.directory = directory
        self.name = name
        if issuer:
            issuer.sign(name, ["basicConstraints=critical,CA:TRUE",
                               "keyUsage=critical,keyCertSign,cRLSign"], days, directory)
        else:
            self.sign(name, ["basicConstraints=critical,CA:TRUE",
                             "keyUsage=critical,keyCertSign,cRLSign"], days, directory,
                      signs_itself=True)

    def sign(self, name, extensions, days, directory, subject=None,
             signs_itself=False):
        key = directory / f"{name}.key"
        request = directory / f"{name}.csr"
        extension_file = directory / f"{name}.ext"
        file = directory / f"{name}.pem"
        _new_key(key)
        extension_file.write_text("\n".join(extensions) + "\n")
        _openssl("req", "-new", "-key", key, "-out", request, "-subj", f"/CN={subject or name}")
        signer = ["-signkey", key] if signs_itself else ["-CA", self.file, "-CAkey", self.key,
                                                         "-CAcreateserial"]
        _openssl("x509", "-req", "-in", request, *signer, "-out", file, "-days", days,
                 "-extfile", extension_file)
        return Certificate(file, key)

    def issue(self, name, hosts=("IP:127.0.0.1", "DNS:localhost"), days=30, usage="serverAuth",
              subject=None):
        return self.sign(name, [f"subjectAltName={','.join(hosts)}", f"extendedKeyUsage={usage}"],
                         days, self.directory, subject)

    def client_context(self):
        return ssl.create_default_context(cafile=str(self.file))


def self_signed(directory, name):
    """What people make to try something out: no authority, and no word of what it is for."""
    file, key = directory / f"{name}.pem", directory / f"{name}.key"
    _new_key(key)
    _openssl("req", "-new", "-x509", "-key", key, "-out", file, "-days", 30, "-subj", f"/CN={name}")
    return Certificate(file, key)
