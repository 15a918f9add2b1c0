"""The groups ota-setting and ota-bookmark of a kannel.conf: what sendota pushes to phones."""

from __future__ import annotations

from collections.abc import Iterable

from gatewayd.config.kannel_section import Section
from gatewayd.config.model import OtaConfig


def read_ota(settings: Iterable[Section], bookmarks: Iterable[Section]) -> tuple[OtaConfig, ...]:
    """Settings first, as Kannel looks for an otaid. Unknown words mean Kannel's default."""
    found = [
        OtaConfig(
            id=section.text("ota-id"),
            name=section.text("service"),
            url=section.text("location"),
            address=section.text("ipaddress"),
            number=section.text("phonenumber"),
            data_call=_is(section, "bearer", "data"),
            analogue=_is(section, "calltype", "analog"),
            connectionless=_is(section, "connection", "temp"),
            chap=_is(section, "pppsecurity", "on"),
            secure=_is(section, "authentication", "secure"),
            login=section.text("login"),
            secret=section.secret("secret"),
        )
        for section in settings
    ]
    found += [
        OtaConfig(
            id=section.text("ota-id"),
            kind="bookmark",
            name=section.text("name"),
            url=section.text("url"),
        )
        for section in bookmarks
    ]
    return tuple(found)


def _is(section: Section, name: str, word: str) -> bool:
    return section.text(name).lower() == word
