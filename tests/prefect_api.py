"""Requests to Prefect's API, as a script of a user sends them."""

from __future__ import annotations

import base64
import uuid

import httpx

PASSWORD = "tests:of-this-session"
"""Password of the servers that tests start, except those of ``braid up``."""


def basic(password: str) -> dict[str, str]:
    """Header with a password."""
    return {"Authorization": f"Basic {base64.b64encode(password.encode()).decode()}"}


def signed_in(address: str, password: str = PASSWORD, timeout: float = 60) -> httpx.Client:
    """A client that the API answers: with a password, and a token against forged requests."""
    who = str(uuid.uuid4())
    made = httpx.get(
        f"{address}/csrf-token",
        params={"client": who},
        headers=basic(password),
        timeout=timeout,
        trust_env=False,
    )
    token = made.raise_for_status().json()["token"]
    headers = {**basic(password), "Prefect-Csrf-Client": who, "Prefect-Csrf-Token": token}
    return httpx.Client(base_url=address, headers=headers, timeout=timeout, trust_env=False)
