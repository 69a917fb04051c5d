"""A bucket on loopback: a server of S3 behind a proxy that fails when it is told to."""

import contextlib
import urllib.request

from moto.server import ThreadedMotoServer

from faulty_proxy import FaultyProxy
from waiting import HANG

HTTP = {"allow_http": True}
_KEYS = ("endpoint", "access_key_id", "secret_access_key", "region")


@contextlib.contextmanager
def served(bucket, secret):
    """Yield the proxy of a server with an empty bucket."""
    import boto3

    server = ThreadedMotoServer("127.0.0.1", 0)
    server.start()
    try:
        port = server.get_host_and_port()[1]
        anew = urllib.request.Request(f"http://127.0.0.1:{port}/moto-api/reset", method="POST")
        urllib.request.urlopen(anew, timeout=HANG).close()  # servers of one process share their buckets
        with FaultyProxy(port) as proxy:
            keys = {"aws_access_key_id": "me", "aws_secret_access_key": secret, "region_name": "us-east-1"}
            boto3.client("s3", endpoint_url=f"http://127.0.0.1:{proxy.port}", **keys).create_bucket(Bucket=bucket)
            yield proxy
    finally:
        server.stop()


def options_for(proxy, secret):
    """Return the storage options of the bucket, with retries that take no time."""
    return {
        "endpoint": f"http://127.0.0.1:{proxy.port}",
        "access_key_id": "me",
        "secret_access_key": secret,
        "region": "us-east-1",
        "max_retries": 3,
        "init_backoff": 0.001,
        "max_backoff": 0.002,
    }


def config_of(options):
    """Return the part of the options that obstore's own stores take as ``config``."""
    return {key: options[key] for key in _KEYS}
