"""Authenticates to an ensemble by SASL with kazoo: kazoo_sasl.py HOST:PORT,... Ends with 0 if all is as it should be."""
import sys

from kazoo.client import KazooClient
from kazoo.exceptions import AuthFailedError, NoAuthError
from kazoo.security import make_acl

HOSTS = sys.argv[1]
PATIENCE = 30  # seconds, for each wait


def connect(password=None):
    options = None
    if password:
        options = {"mechanism": "DIGEST-MD5", "username": "bob", "password": password}
    client = KazooClient(hosts=HOSTS, timeout=20, sasl_options=options)
    client.start(timeout=PATIENCE)
    return client


bob = connect("secret")
bob.create("/kazoo-his", b"one", acl=[make_acl("sasl", "bob", all=True)])
assert bob.get("/kazoo-his")[0] == b"one"
bob.create("/kazoo-hers", b"two", acl=[make_acl("sasl", "eve", all=True)])
try:
    bob.get("/kazoo-hers")
    raise AssertionError("bob has read what is eve's")
except NoAuthError:
    print("ok acl")

try:
    connect("guess").get("/")
    raise AssertionError("a wrong password did")
except AuthFailedError:
    print("ok wrong_password")

try:
    connect().get("/kazoo-his")
    raise AssertionError("no password did")
except NoAuthError:
    print("ok no_password")
