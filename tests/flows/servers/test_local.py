"""A Prefect server that is configured and gone is named, with the place of the setting."""

from pathlib import Path

import pytest
from prefect.context import refresh_global_settings_context

from components.errors import ServiceError
from components.runtime.environ import variables
from flows.servers import local
from flows.servers.processes import port_near


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "_PAUSES", (0.0,))


def _message(environment: dict[str, str | None]) -> str:
    try:
        with variables({"PREFECT_API_URL": None, "PREFECT_PROFILE": None, **environment}):
            refresh_global_settings_context()
            with pytest.raises(ServiceError) as raised, local.prefect_api(Path("unused")):
                pass
    finally:
        refresh_global_settings_context()
    return str(raised.value)


def test_a_variable_is_named() -> None:
    address = f"http://127.0.0.1:{port_near(0)}/api"
    message = _message({"PREFECT_API_URL": address.replace("//", "//user:word@")})
    assert message.startswith(f"Prefect's API does not answer at {address} (ConnectError")
    assert "which the environment variable PREFECT_API_URL names" in message
    assert "word" not in message


def test_a_profile_is_named_with_its_file(tmp_path: Path) -> None:
    profiles = tmp_path / "profiles.toml"
    profiles.write_text(
        'active = "far"\n[profiles.far]\nPREFECT_API_URL = "http://127.0.0.1:9/api"\n', "utf-8"
    )
    message = _message({"PREFECT_PROFILES_PATH": str(profiles), "PREFECT_PROFILE": "far"})
    assert "at http://127.0.0.1:9/api (" in message
    assert f"which the profile 'far' in {profiles} names" in message
