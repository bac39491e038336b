"""A certificate authority for tests, made by the openssl program."""

import ssl
import subprocess


def _openssl(*arguments):
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


def _new_key(path):
    _openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", path)


class Certificate:
    def __init__(self, file, key):
        self.file = str(file)
        self.key = str(key)

    def server_context(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.file, self.key)
        return context

    @property
    def serial(self):
        shown = subprocess.run(["openssl", "x509", "-noout", "-serial", "-in", self.file],
                               check=True, capture_output=True, text=True)
        return shown.stdout.strip().split("=")[1]


class Authority:
    def __init__(self, directory, name="test-ca"):
        self.directory = directory
        self.name = name
        self.key = directory / f"{name}.key"
        self.file = directory / f"{name}.pem"
        _new_key(self.key)
        _openssl("req", "-new", "-x509", "-key", self.key, "-out", self.file, "-days", 30,
                 "-subj", f"/CN={name}", "-addext", "keyUsage=critical,keyCertSign,cRLSign")

    def issue(self, name, hosts=("IP:127.0.0.1", "DNS:localhost"), days=30, usage="serverAuth"):
        key = self.directory / f"{name}.key"
        request = self.directory / f"{name}.csr"
        extensions = self.directory / f"{name}.ext"
        file = self.directory / f"{name}.pem"
        _new_key(key)
        extensions.write_text(f"subjectAltName={','.join(hosts)}\nextendedKeyUsage={usage}\n")
        _openssl("req", "-new", "-key", key, "-out", request, "-subj", f"/CN={name}")
        _openssl("x509", "-req", "-in", request, "-CA", self.file, "-CAkey", self.key,
                 "-CAcreateserial", "-out", file, "-days", days, "-extfile", extensions)
        return Certificate(file, key)

    def client_context(self):
        return ssl.create_default_context(cafile=str(self.file))
