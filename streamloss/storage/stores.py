"""Stores of objects by URI: what a scheme is opened by, its options, and names of places without secrets.

``s3://``, ``gs://``, ``az://`` and ``http://`` are read through obstore, which finds credentials as the provider's own
tools do (environment, files of tokens, the machine's role); other schemes through fsspec. Nothing that is printed,
stored or compared holds a user, a password, a signature or an option's value.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import PurePosixPath
from typing import Any

from ..errors import MissingExtraError, SourceError, UsageError, nearest
from .uris import Address, redacted

FAMILIES = {
    "s3": "s3", "s3a": "s3", "gs": "gs", "az": "az", "azure": "az", "adl": "az", "abfs": "az", "abfss": "az",
    "http": "http", "https": "http",
}  # fmt: skip
"""The schemes that obstore opens, with the family of options that they take."""
_PREFIXES = {"s3": "aws_", "gs": "google_", "az": "azure_", "http": ""}
_STORE_OPTIONS = {
    "s3": [
        "access_key_id",
        "secret_access_key",
        "session_token",
        "region",
        "default_region",
        "endpoint",
        "skip_signature",
        "request_payer",
        "role_arn",
        "role_session_name",
        "sts_endpoint",
        "metadata_endpoint",
        "web_identity_token_file",
        "container_credentials_relative_uri",
        "container_credentials_full_uri",
        "container_authorization_token_file",
        "virtual_hosted_style_request",
        "unsigned_payload",
        "checksum_algorithm",
        "conditional_put",
        "disable_tagging",
        "server_side_encryption",
        "sse_kms_key_id",
        "sse_bucket_key_enabled",
    ],
    "gs": [
        "service_account",
        "service_account_key",
        "application_credentials",
        "bearer_token",
        "base_url",
        "skip_signature",
    ],
    "az": [
        "account_name",
        "account_key",
        "client_id",
        "client_secret",
        "tenant_id",
        "authority_host",
        "sas_key",
        "token",
        "endpoint",
        "credential_type",
        "use_emulator",
        "use_fabric_endpoint",
        "msi_endpoint",
        "object_id",
        "msi_resource_id",
        "federated_token_file",
        "use_azure_cli",
        "skip_signature",
        "disable_tagging",
    ],
    "http": [],
}
_CLIENT_OPTIONS = [
    "allow_http",
    "allow_invalid_certificates",
    "connect_timeout",
    "timeout",
    "default_headers",
    "http1_only",
    "http2_only",
    "pool_idle_timeout",
    "pool_max_idle_per_host",
    "proxy_url",
    "proxy_ca_certificate",
    "proxy_excludes",
    "root_certificate",
    "user_agent",
]
RETRIES = {"max_retries": 6, "retry_timeout": 120.0, "init_backoff": 0.1, "max_backoff": 10.0}
"""The retries of a request, and their times in seconds; each is an option."""
_CLIENT = {"connect_timeout": "10s", "timeout": "120s"}
_SECRET = re.compile(r"key|secret|token|password|credential|header", re.IGNORECASE)


def is_secret(option: str) -> bool:
    """Return whether an option's value is a credential, or may hold one."""
    return _SECRET.search(option) is not None


def is_remote(array: Any) -> bool:
    """Return whether what a user passed is an address of another scheme than ``file``."""
    return isinstance(array, Address) and array.scheme != "file"


def split_remote(address: Address) -> tuple[str, str]:
    """Return the URI of the store and the path inside it.

    ``s3://bucket/store.zarr/group/array`` gives (``s3://bucket/store.zarr``, ``group/array``); a URI without ``.zarr``
    in it is a store itself, and what follows ``::`` is a path inside.
    """
    scheme, _, rest = address.place.rstrip("/").partition("://")
    parts = rest.split("/")
    ends = [i for i in range(1, len(parts)) if PurePosixPath(parts[i]).suffix == ".zarr"]
    end = ends[0] + 1 if ends else len(parts)
    inner = [*parts[end:], *address.member.strip("/").split("/")]
    return f"{scheme}://{'/'.join(parts[:end])}", "/".join(filter(None, inner))


def refuse_query(address: Address, role: str) -> None:
    """Raise UsageError for a URI with a query: of buckets it would be options, of http a signature for one object."""
    if "?" not in address.place:
        return
    keys = ", ".join(pair.partition("=")[0] for pair in address.place.partition("?")[2].split("&"))
    where = redacted(address.place)
    if FAMILIES.get(address.scheme) == "http":
        raise UsageError(
            f"{role}: {where!r} was given with a query ({keys}), which signs one object, and a Zarr array is many. "
            "Pass the array's own scheme (s3://, gs://, az://), with credentials in the environment or storage_options."
        )
    raise UsageError(
        f"{role}: {where!r} was given with a query ({keys}); expected options in storage_options= (Python), "
        "[storage_options] (TOML) or the provider's environment variables."
    )


def store_arguments(scheme: str, options: Mapping[str, Any], role: str) -> dict[str, Any]:
    """Return the keyword arguments of ``obstore.store.from_url``. Raises UsageError for options that there are not."""
    family = FAMILIES[scheme]
    config: dict[str, Any] = {}
    client: dict[str, Any] = dict(_CLIENT)
    retry: dict[str, Any] = dict(RETRIES)
    for given, value in options.items():
        name = given.lower().removeprefix(_PREFIXES[family])
        if name in RETRIES:
            retry[name] = _number(role, given, value)
        elif name in _CLIENT_OPTIONS:
            client[name] = f"{value}s" if name.endswith("timeout") and isinstance(value, int | float) else value
        elif name in _STORE_OPTIONS[family]:
            config[name] = value
        else:
            known = [*_STORE_OPTIONS[family], *_CLIENT_OPTIONS, *RETRIES]
            near = nearest(name, known)
            guess = f" Did you mean {near[0]!r}?" if near else ""
            raise UsageError(
                f"{role}: storage_options has {given!r}, which {scheme}:// does not take.{guess} Known: "
                f"{', '.join(known)}."
            )
    if scheme == "http" or str(config.get("endpoint", config.get("base_url", ""))).startswith("http://"):
        client.setdefault("allow_http", True)
    arguments: dict[str, Any] = {"client_options": client, "retry_config": {
        "max_retries": int(retry["max_retries"]),
        "retry_timeout": timedelta(seconds=retry["retry_timeout"]),
        "backoff": {
            "init_backoff": timedelta(seconds=retry["init_backoff"]),
            "max_backoff": timedelta(seconds=retry["max_backoff"]),
        },
    }}  # fmt: skip
    return arguments | ({"config": config} if config else {})


def object_store(uri: str, options: Mapping[str, Any], role: str) -> Any:
    """Return obstore's store at a URI, whose keys are below it: for Zarr, or with ``obstore.fsspec`` for pyarrow.

    Raises UsageError for wrong options, SourceError for a URI that is none, MissingExtraError without obstore.
    """
    scheme = uri.partition("://")[0].lower()
    arguments = store_arguments(scheme, options, role)
    try:
        from obstore.store import from_url
    except ImportError:
        raise MissingExtraError(f"{role}: reading {scheme}://", "remote") from None
    try:
        return from_url(uri, **arguments)
    except Exception as error:  # each provider's builder has its own
        what = f"{role}: cannot open {redacted(uri)!r}: {scrubbed(error)}"
        raise SourceError(f"{what} Check the URI and storage_options.") from None


def scrubbed(error: object) -> str:
    """Return an error's text on one line, without users, passwords and queries of URLs, ending with a full stop."""
    text = str(error).partition("\n\nDebug source")[0]
    text = re.sub(r"//[^/@\s\"']+@", "//", text)
    text = re.sub(r"(://[^\s?\"']*)\?[^\s\"')]*", r"\1", text)
    return " ".join(text.split()).rstrip(".:") + "."


def _number(role: str, name: str, value: Any) -> float:
    try:
        number = float(str(value).removesuffix("s"))
    except ValueError:
        number = -1.0
    if not 0 <= number < 1e9:
        raise UsageError(f"{role}: storage_options has {name} = {value!r}; expected a number of at least 0 (seconds).")
    return number
