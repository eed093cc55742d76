"""Whose a request is: tokens and logins, compared in constant time."""

import base64
import binascii
import hmac

from aiohttp import web

from drivers.http_in import HttpSource


def is_known(request: web.BaseRequest, source: HttpSource, token: bytes) -> bool:
    """Whether a request has the token of its source, in one of the places where it may be."""
    given = [request.headers.get("X-Token", "")]
    scheme, _, value = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        given.append(value.strip())
    elif scheme.lower() == "basic" and source.username is not None:
        given.append(basic_password(value, source.username))
    if source.token_in_query:
        given.append(request.query.get("token", ""))
    return any(hmac.compare_digest(one.encode("utf-8", "replace"), token) for one in given)


def has_login(request: web.BaseRequest) -> bool:
    """Whether a request brings anything that may be a token or a login, right or wrong."""
    return "X-Token" in request.headers or "Authorization" in request.headers or "token" in request.query


def basic_password(value: str, username: str) -> str:
    """The password of a basic login of this user; empty for anything else."""
    try:
        user, _, password = base64.b64decode(value.strip(), validate=True).decode("utf-8").partition(":")
    except (binascii.Error, ValueError):
        return ""
    return password if hmac.compare_digest(user.encode("utf-8"), username.encode("utf-8")) else ""
