"""What a kannel.conf loses messages by, and the same configuration without it."""

from __future__ import annotations

from dataclasses import replace

from gatewayd.config.model import ChannelConfig, Config, SmscConfig, UserConfig

_CHANNEL = ChannelConfig("")
_SMSC = SmscConfig("", "")


def safer(config: Config) -> tuple[Config, tuple[str, ...]]:
    """`config` with the choices of YAML where Kannel's lose messages; a sentence for each."""
    said: dict[str, None] = {}
    changed = replace(
        config,
        smscs=tuple(_smsc(smsc, said) for smsc in config.smscs),
        users=tuple(_user(user, said) for user in config.users),
        channels=tuple(_channel(channel, said) for channel in config.channels),
        reports=_channel(config.reports, said),
    )
    return changed, tuple(said)


def _smsc(smsc: SmscConfig, said: dict[str, None]) -> SmscConfig:
    if smsc.refused_pause == 0:
        smsc = replace(smsc, refused_pause=_SMSC.refused_pause)
        said[
            "refused-pause: a bind refused for its credentials is tried again every 10 minutes"
        ] = None
    if smsc.resend.times >= 0 and smsc.resend.times < _SMSC.resend.times:
        smsc = replace(smsc, resend=_SMSC.resend)
        said["resend: a segment that the SMSC cannot take now is tried for an hour"] = None
    return smsc


def _user(user: UserConfig, said: dict[str, None]) -> UserConfig:
    if user.text.too_long != "cut":
        return user
    said["users, too-long: a text beyond max-messages is refused instead of cut"] = None
    return replace(user, text=replace(user.text, too_long="refuse"))


def _channel(channel: ChannelConfig, said: dict[str, None]) -> ChannelConfig:
    if channel.retry.times >= 0 or not channel.retry.dead_letters:
        channel = replace(channel, retry=_CHANNEL.retry)
        said["retry: MO and reports are tried for a day, and what is left is kept"] = None
    if channel.name and not channel.mo_recode:
        channel = replace(channel, mo_recode=True)
        said["mo-recode: UCS-2 texts reach the platform as UTF-8"] = None
    if not channel.ordered:
        channel = replace(channel, ordered=True)
        said["ordered: MO of one sender, and reports, do not overtake each other"] = None
    return channel
